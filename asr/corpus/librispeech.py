"""LibriSpeech: read audiobooks (Panayotov et al., ICASSP 2015), and whatever has its layout.

    <root>/LibriSpeech/<subset>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt

with one line an utterance, `ID WORDS`, and the audio of each beside it. https://openslr.org/12
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asr.core.download import download, extract
from asr.corpus.base import Corpus
from asr.corpus.manifest import Utterance

FORMATS = ("flac", "wav", "mp3", "ogg", "opus")  # the first that there is, is taken

# Number of the OpenSLR resource and the MD5 that its md5sum.txt publishes.
ARCHIVES = {
    "train-clean-100": (12, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": (12, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": (12, "d1a0fd59409feb2c614ce4d30c387708"),
    "dev-clean": (12, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": (12, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": (12, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": (12, "fb5a50374b501bb3bac4815ee91d3135"),
    "train-clean-5": (31, "5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": (31, "6d7ab67ac6a1d2c993d050e16d61080d"),
}

_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """What a split is made of: subsets, and which of their speakers; None is all of them."""

    subsets: Sequence[str]
    only_speakers: Sequence[str] | None = None
    without_speakers: Sequence[str] = ()

    def takes(self, speaker: str) -> bool:
        """Whether a speaker belongs to the split."""
        return speaker not in self.without_speakers and (
            self.only_speakers is None or speaker in self.only_speakers
        )


class LibriSpeech(Corpus):
    """LibriSpeech's subsets, each a split of its own name, or splits composed of them.

    Args:
        root: the folder that holds `LibriSpeech/`, or `LibriSpeech/` itself; None downloads.
            A subset that is not there is downloaded to the folder of the manifests.
        subsets: names such as dev-clean, in any number.
        splits: takes the place of `subsets`: for each split its `subsets` and, optionally,
            `only_speakers` or `without_speakers`.
        url: where OpenSLR's resources are; a mirror such as https://us.openslr.org/resources.
    """

    def __init__(
        self,
        *,
        root: str | None,
        subsets: Sequence[str],
        splits: Mapping[str, Mapping[str, Any]] | None,
        url: str,
    ) -> None:
        super().__init__()
        self.root = root
        self.url = url
        self.parts = (
            {subset: Part([subset]) for subset in subsets}
            if splits is None
            else {split: _part(split, fields) for split, fields in splits.items()}
        )
        if not self.parts:
            raise ValueError(
                "corpus.subsets is empty; name one, such as corpus.subsets=[dev-clean]"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the subsets, or those of `splits`."""
        return tuple(self.parts)

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Yield a split by subset, speaker, chapter and line."""
        part = self.parts[split]
        places = [self._located(subset, folder) for subset in part.subsets]
        speakers = [speaker for place in places for speaker in _folders(place)]
        named = {*(part.only_speakers or ()), *part.without_speakers}
        if absent := named - {speaker.name for speaker in speakers}:
            raise ValueError(
                f"corpus.splits.{split}: there is no speaker {', '.join(sorted(absent))} in "
                f"{', '.join(map(str, places))}; mend only_speakers or without_speakers"
            )
        for speaker in speakers:
            if part.takes(speaker.name):
                for chapter in _folders(speaker):
                    yield from self._chapter(chapter, speaker.name)

    def _chapter(self, chapter: Path, speaker: str) -> Iterator[Utterance]:
        audio: dict[str, str] = {}
        transcripts = []
        for entry in sorted(path.name for path in chapter.iterdir()):
            stem, _, extension = entry.rpartition(".")
            if entry.endswith(".trans.txt"):
                transcripts.append(chapter / entry)
            elif extension.lower() in FORMATS:
                audio[stem] = min(audio.get(stem, entry), entry, key=_preference)
        for path in transcripts:
            for name, text in _lines(path):
                if file := audio.pop(name, None):
                    yield Utterance(name, str(chapter / file), 0.0, text, speaker)
                else:
                    self.left_out.add("it has a transcript but no audio", name)
        for file in audio.values():
            self.left_out.add("it has audio but no line in a transcript", str(chapter / file))

    def _located(self, subset: str, folder: Path) -> Path:
        """The folder of a subset, which is downloaded where it is not found."""
        if self.root is not None and not Path(self.root).is_dir():
            raise ValueError(
                f"corpus.root={self.root}: no such folder. Name the one that holds LibriSpeech/, "
                "or leave corpus.root out to download"
            )
        parents = [] if self.root is None else [Path(self.root) / "LibriSpeech", Path(self.root)]
        for parent in (*parents, folder / "LibriSpeech"):
            if (parent / subset).is_dir():
                return parent / subset
        if subset not in ARCHIVES:
            looked = ", ".join(str(parent) for parent in (*parents, folder / "LibriSpeech"))
            raise ValueError(
                f"the subset {subset!r} is not in {looked}, and cannot be downloaded: OpenSLR has "
                + ", ".join(ARCHIVES)
            )
        if self.root is not None:
            _log.warning("corpus.root=%s has no %s; it is downloaded", self.root, subset)
        resource, md5 = ARCHIVES[subset]
        url = f"{self.url}/{resource}/{subset}.tar.gz"
        archive = download(url, folder / f"{subset}.tar.gz", md5=md5)
        extract(archive, folder)
        archive.unlink()
        return folder / "LibriSpeech" / subset


def _part(split: str, fields: Mapping[str, Any]) -> Part:
    unknown = set(fields) - set(Part._fields)
    if unknown or not fields.get("subsets"):
        raise ValueError(
            f"corpus.splits.{split}: wants subsets, and takes only_speakers and without_speakers, "
            f"not {', '.join(map(str, fields)) or 'nothing'}"
        )
    names = {key: [str(value) for value in values] for key, values in fields.items() if values}
    return Part(**names)


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def _preference(file: str) -> int:
    return FORMATS.index(file.rpartition(".")[2].lower())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text("utf-8").splitlines():
        name, _, text = line.strip().partition(" ")
        if name:
            yield name, text
