"""AN4: people spelling names and reading out dates, numbers and commands (CMU, 1991).

CMU's native layout: headerless 16-bit samples at 16 kHz, big-endian whatever its README says,
and `etc/an4_{train,test}.{fileids,transcription}`. CMU ships no development set, so one is cut
from train by speaker. http://www.speech.cs.cmu.edu/databases/an4/
"""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.core.download import download, extract
from asr.corpus.base import Corpus
from asr.corpus.hold_out import hold_out_rank
from asr.corpus.manifest import Utterance

URL = "http://www.speech.cs.cmu.edu/databases/an4/an4_raw.bigendian.tar.gz"
RAW = "s16be:16000:1"

_LINE = re.compile(r"(?:<s>)?\s*(?P<text>.*?)\s*(?:</s>)?\s*\((?P<id>[^()\s]+)\)")


class AN4(Corpus):
    """CMU AN4 with a development set of whole speakers.

    Args:
        root: the folder that holds `etc/` and `wav/`, or their parent; None downloads it.
        dev_speakers: how many of the 74 training speakers make the development set. They are
            those with the lowest `hold_out_rank`: fewer speakers are a subset of more.
        seed: of that choice.
    """

    def __init__(self, *, root: str | None, dev_speakers: int, seed: int) -> None:
        super().__init__()
        if dev_speakers < 1:
            raise ValueError(f"corpus.dev_speakers={dev_speakers} must be at least 1")
        self.root = root
        self.dev_speakers = dev_speakers
        self.seed = seed

    @property
    def splits(self) -> tuple[str, ...]:
        """train, dev and test."""
        return ("train", "dev", "test")

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Yield a split in CMU's order."""
        root = self._located(folder)
        part = "test" if split == "test" else "train"
        files = {Path(f).name: f for f in _existing(root, part, "fileids").split()}
        texts = dict(_transcripts(_existing(root, part, "transcription"), root, part))
        if split != "dev":  # else it would be counted twice
            for name in sorted(texts.keys() - files.keys()):
                self.left_out.add("it has a transcript but no line in the fileids", name)
        held_out = self._held_out({_speaker(f) for f in files.values()}) if part == "train" else ()
        for name, file in files.items():
            if (_speaker(file) in held_out) != (split == "dev"):
                continue
            if name not in texts:
                self.left_out.add("it has a line in the fileids but no transcript", name)
                continue
            audio = str(root / "wav" / f"{file}.raw")
            yield Utterance(name, audio, 0.0, texts[name], speaker=_speaker(file), raw=RAW)

    def _held_out(self, speakers: set[str]) -> set[str]:
        if len(speakers) <= self.dev_speakers:
            raise ValueError(
                f"corpus.dev_speakers={self.dev_speakers} leaves none of AN4's {len(speakers)} "
                "speakers to train on; ask for fewer"
            )
        ranked = sorted(speakers, key=lambda speaker: hold_out_rank(speaker, self.seed))
        return set(ranked[: self.dev_speakers])

    def _located(self, folder: Path) -> Path:
        if self.root is not None:
            for root in (Path(self.root), Path(self.root) / "an4"):
                if (root / "etc").is_dir():
                    return root
            raise ValueError(
                f"corpus.root={self.root}: there is no AN4 here: neither etc/ nor an4/etc/. Name "
                "the folder that holds them, or leave corpus.root out to download AN4"
            )
        if not (folder / "an4" / "etc").is_dir():
            archive = download(URL, folder / "an4_raw.bigendian.tar.gz", md5=None)
            extract(archive, folder)  # CMU publishes no checksum; gzip's own is verified here
            archive.unlink()
        return folder / "an4"


def _speaker(file: str) -> str:
    return Path(file).parent.name


def _existing(root: Path, part: str, kind: str) -> str:
    path = root / "etc" / f"an4_{part}.{kind}"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; AN4 is not whole here, fetch {URL} again")
    return path.read_text("utf-8")


def _transcripts(text: str, root: Path, part: str) -> Iterator[tuple[str, str]]:
    """Ids and texts of lines such as `<s> GO </s> (an253-fash-b)`."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            match = _LINE.fullmatch(line.strip())
            if match is None:
                where = f"{root / 'etc' / f'an4_{part}.transcription'}:{number}"
                raise ValueError(f"{where}: not `<s> TEXT </s> (ID)` but {line[:80]!r}; mend it")
            yield match["id"], match["text"]
