"""What a report shows of each test set beside its texts: sound, models, and why there is none."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from asr.core.progress import progress_bar
from asr.corpus.manifest import Manifest
from asr.recognizer.recognizer import Recognizer
from asr.reporting.exhibit import Exhibit, exhibit, worst
from asr.reporting.report_page import Chapter
from asr.scoring.comparison import Comparison
from asr.scoring.evaluation import Source
from asr.scoring.speech import checkpoint_of, manifest_of


class Loudness(Protocol):
    """Of an utterance: levels in dB of full scale, and seconds in which something is heard."""

    @property
    def loud_db(self) -> float: ...
    @property
    def quiet_db(self) -> float: ...
    @property
    def sounding(self) -> float: ...


class Means(NamedTuple):
    """What a chapter is made with.

    measure: the sound of each utterance of a manifest, or why it cannot be read.
    recognizer: of a checkpoint's file. manifests: files to look among for the audio.
    exhibits, max_seconds: how many utterances are to be heard and seen, and how long at most.
    """

    measure: Callable[[Manifest], Sequence[Loudness | str]]
    recognizer: Callable[[Path], Recognizer]
    manifests: Sequence[str]
    exhibits: int
    max_seconds: float


def output_path(output: str | None, sources: Sequence[Source]) -> Path:
    """Where the page goes: where it is asked for, else into the last input's folder.

    Raises:
        ValueError: it is asked for in place of a folder.
    """
    if output is None:
        names = "-".join(source.name.replace("/", "-") for source in sources[:-1])
        return sources[-1].path / (f"report-against-{names}.html" if names else "report.html")
    if Path(output).is_dir():
        raise ValueError(f"output={output} is a folder; name a file, such as {output}/report.html")
    return Path(output)


def gather(comparison: Comparison, means: Means) -> Chapter:
    """A test set's chapter. Where its audio or a model is missing a note says so."""
    evaluations = [system.evaluation for system in comparison.systems]
    unknown = [math.nan] * len(evaluations[0].utterances)
    try:
        manifest = manifest_of(evaluations[0], means.manifests)
    except ValueError as error:
        notes = [f"Nothing to hear, and no levels: {error}."]
        return Chapter(comparison, unknown, unknown, unknown, notes=notes)
    sounds = means.measure(manifest)
    known = [None if isinstance(sound, str) else sound for sound in sounds]
    chapter = partial(
        Chapter,
        comparison,
        [math.nan if s is None else s.loud_db for s in known],
        [math.nan if s is None else s.loud_db - s.quiet_db for s in known],
        [math.nan if s is None else s.sounding for s in known],
    )
    if means.exhibits == 0:
        return chapter()
    try:
        recognizers = [means.recognizer(checkpoint_of(evaluation)) for evaluation in evaluations]
    except ValueError as error:
        return chapter(notes=[f"Nothing to hear and see: {error}."])
    places = [i for i in worst(comparison, means.exhibits, means.max_seconds) if known[i]]
    exhibits: dict[int, Exhibit] = {}
    with progress_bar(f"aligning {manifest.name}", len(places)) as advance:
        for place in places:
            exhibits[place] = exhibit(manifest[place], comparison, place, recognizers)
            advance(1)
    notes = [_coverage(len(exhibits), len(sounds), means)]
    if faults := [sound for sound in sounds if isinstance(sound, str)]:
        notes.append(f"{len(faults)} could not be read, such as {faults[0]}.")
    return chapter(exhibits=exhibits, notes=notes)


def _coverage(shown: int, total: int, means: Means) -> str:
    if shown == total:
        return f"All {total} utterances are to hear and see."
    return (
        f"{shown} of {total} utterances are to hear and see, those with the most errors and at "
        f"most {means.max_seconds:g} s (exhibits={means.exhibits}, max_seconds)."
    )


def sizes(path: Path, chapters: Sequence[Chapter]) -> str:
    """How large a page is, and what of it are sound and pictures."""
    shown = [shown for chapter in chapters for shown in chapter.exhibits.values()]
    parts = (
        path.stat().st_size,
        sum(len(e.audio) for e in shown),
        sum(len(e.picture) for e in shown),
    )
    whole, audio, pictures = (f"{size / 1e6:.1f} MB" for size in parts)
    return f"{whole}, of which {audio} sound and {pictures} pictures"
