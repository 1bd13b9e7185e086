"""From a corpus to manifests: measure the audio, normalise the text, leave out what is no use."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from asr.core.audio import AudioInfo, audio_info
from asr.core.text import normalise, removed_characters
from asr.corpus.base import Corpus, LeftOut
from asr.corpus.manifest import Utterance, write_manifest
from asr.corpus.report import Report, SplitReport, describe_split, summarise, write_report
from asr.engine.base import Engine

_CHUNK = 32  # files handed to a worker at once
_TOLERANCE_SECONDS = 0.1  # tables round their durations

Audio = tuple[str, str | None]  # path, and the format of a headerless file
Header = AudioInfo | str  # or why it cannot be read
Cleaned = tuple[str, Counter[str]]  # a normalised text, and what was removed from it


def prepare(
    corpus: Corpus,
    folder: Path,
    engine: Engine,
    *,
    case: str,
    punctuation: str,
    sample_rate: int,
) -> Report:
    """Write `<folder>/<split>.jsonl` for every split, and `<folder>/report.json`.

    Each manifest is written whole or not at all. An utterance without text after normalisation,
    with audio that is missing, unreadable or empty, with a slice beyond its audio's end, or with
    an id that came before is left out, counted and named in the report.

    Args:
        corpus: where the speech comes from.
        folder: `data/<name>`; a corpus that downloads or synthesises puts its audio there too.
        engine: reads the headers and normalises the texts.
        case, punctuation: as for `normalise`.
        sample_rate: what training will use, in Hz; the report warns where a file differs.

    Raises:
        ValueError: the corpus is not where it should be, or nothing of a split is of use.
    """
    splits: dict[str, SplitReport] = {}
    for split in corpus.splits:
        corpus.left_out = LeftOut()
        found = list(corpus.utterances(split, folder))
        clean = partial(_clean, case=case, punctuation=punctuation)
        headers, texts = _examine(found, clean, engine, f"measuring {split}")
        removed: Counter[str] = Counter()
        kept = []
        ids: set[str] = set()
        for utterance, (text, gone) in zip(found, texts, strict=True):
            header = headers[utterance.audio, utterance.raw]
            removed += gone
            ready = _measured(replace(utterance, text=text), header)
            if defect := _defect(ready, header, ids):
                corpus.left_out.add(*defect)
            else:
                ids.add(ready.id)
                kept.append(ready)
        if not kept:
            raise ValueError(_nothing_left(split, folder, corpus.left_out))
        write_manifest(folder / f"{split}.jsonl", kept)
        forms = [headers[u.audio, u.raw] for u in kept]
        infos = [form for form in forms if isinstance(form, AudioInfo)]
        splits[split] = describe_split(kept, infos, removed, corpus.left_out)
    report = summarise(folder, splits, case, punctuation, sample_rate)
    write_report(folder / "report.json", report)
    return report


def _examine(
    found: Sequence[Utterance], clean: Callable[[str], Cleaned], engine: Engine, title: str
) -> tuple[dict[Audio, Header], list[Cleaned]]:
    """The header of each file, which is opened once, and the clean text of each utterance."""
    of_file: dict[Audio, list[int]] = {}
    for i, utterance in enumerate(found):
        of_file.setdefault((utterance.audio, utterance.raw), []).append(i)
    items = ((file, [found[i].text for i in places]) for file, places in of_file.items())
    seen = engine.map(partial(_read, clean), items, title, len(of_file), chunk=_CHUNK)
    headers: dict[Audio, Header] = {}
    texts: list[Cleaned] = [("", Counter())] * len(found)
    for (file, places), (header, cleaned) in zip(of_file.items(), seen, strict=True):
        headers[file] = header
        for i, text in zip(places, cleaned, strict=True):
            texts[i] = text
    return headers, texts


def _read(
    clean: Callable[[str], Cleaned], item: tuple[Audio, list[str]]
) -> tuple[Header, list[Cleaned]]:
    file, texts = item
    cleaned = [clean(text) for text in texts]
    try:
        return audio_info(*file), cleaned
    except ValueError as error:
        return str(error), cleaned


def _clean(text: str, *, case: str, punctuation: str) -> Cleaned:
    removed = removed_characters(text, case=case, punctuation=punctuation)
    return normalise(text, case=case, punctuation=punctuation), removed


def _measured(utterance: Utterance, header: Header) -> Utterance:
    """With a duration that ends where the audio ends, but for a slice that lies far beyond."""
    if isinstance(header, str):
        return utterance
    rest = header.duration - utterance.offset
    if utterance.duration == 0 or 0 < utterance.duration - rest <= _TOLERANCE_SECONDS:
        return replace(utterance, duration=rest)
    return utterance


def _defect(utterance: Utterance, header: Header, ids: set[str]) -> tuple[str, str] | None:
    """Why an utterance is of no use, and its name; None where it is of use."""
    if isinstance(header, str):
        missing = not Path(utterance.audio).exists()
        reason = "its audio is missing" if missing else "its audio cannot be read or is empty"
        return reason, f"{utterance.id} ({header})"
    if utterance.duration <= 0 or utterance.offset + utterance.duration > header.duration + 1e-6:
        reach = f"{utterance.offset:g}-{utterance.offset + utterance.duration:g} s"
        where = f"{utterance.id} ({reach} of {header.duration:.3f} s: {utterance.audio})"
        return "its slice reaches beyond the end of its audio (durations are in seconds)", where
    if not utterance.text:
        return "its text is empty after normalisation", utterance.id
    if utterance.id in ids:
        return "its id came before", f"{utterance.id} ({utterance.audio})"
    return None


def _nothing_left(split: str, folder: Path, left_out: LeftOut) -> str:
    message = f"{folder}: the split {split!r} has no utterance of use; its manifest is not written."
    for reason, count in left_out.most_common():
        message += f"\n  {count} left out: {reason}, such as {left_out.examples[reason][0]}"
    if left_out:
        return message
    return (
        f"{message} The corpus names none for it: see its options. Of a table with few speakers or "
        "sentences, hold out a larger share: 'corpus.hold_out={dev: 0.2, test: 0.2}'"
    )
