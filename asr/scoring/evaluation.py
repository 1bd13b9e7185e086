"""What `asr.evaluate` wrote, found and read again; evaluations of several runs, side by side."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.scoring.error_rate import ErrorCounts, batch_word_errors

SUMMARY, HYPOTHESES = "summary.json", "hypotheses.jsonl"

Key = tuple[str, str | None]  # a test set and a decoder; None: whichever it was


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance: what was said, what was heard, the errors in words. duration: seconds."""

    id: str
    speaker: str | None
    duration: float
    reference: str
    hypothesis: str
    words: ErrorCounts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run's hypotheses of one test set by one decoder, in the manifest's order.

    name: what people call the run. summary: what it says of itself, as `asr.evaluate` wrote it.
    """

    name: str
    folder: Path
    test_set: str
    decoder: str
    utterances: tuple[Heard, ...]
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Source:
    """One input: a run, a folder of evaluations, or an evaluation's own folder.

    summaries: what each evaluation says of itself, by its folder.
    """

    name: str
    path: Path
    summaries: dict[Path, dict[str, Any]] = field(repr=False)

    def folders(self, key: Key) -> list[Path]:
        """Evaluations of a test set by a decoder; a named one is held against any decoder."""
        return [
            folder
            for folder, summary in self.summaries.items()
            if summary["manifest"] == key[0]
            and (key[1] in (None, summary["decoder"]) or folder == self.path)
        ]

    @property
    def is_one(self) -> bool:
        """Whether it is an evaluation's own folder."""
        return self.path in self.summaries

    @property
    def keys(self) -> list[Key]:
        """What it has to compare."""
        return [
            (summary["manifest"], None if folder == self.path else summary["decoder"])
            for folder, summary in self.summaries.items()
        ]

    def read(self, key: Key) -> Evaluation:
        """The evaluation of a test set by a decoder.

        Raises:
            ValueError: there are several of that name, or its files are damaged.
        """
        folder, *others = self.folders(key)
        if others:
            raise ValueError(
                f"{self.path}: {len(others) + 1} evaluations of test sets called {key[0]}; name "
                f"one: {' or '.join(map(str, [folder, *others]))}"
            )
        summary = self.summaries[folder]
        heard = _read(folder / HYPOTHESES)
        return Evaluation(self.name, folder, key[0], summary["decoder"], heard, summary)


def open_sources(paths: Sequence[Path]) -> list[Source]:
    """Find the evaluations of each input.

    Raises:
        ValueError: one is without evaluations; says how to make them.
    """
    names = _short_names(paths)
    return [Source(n, path, _summaries(path)) for n, path in zip(names, paths, strict=True)]


def common_keys(
    sources: Sequence[Source], test_sets: Sequence[str] | None, decoders: Sequence[str] | None
) -> tuple[list[Key], list[str]]:
    """What all inputs have.

    Args:
        test_sets, decoders: those that must be compared; None: whatever all have.

    Returns:
        The keys, and a line for each that some lack: it is not compared.

    Raises:
        ValueError: fewer than two inputs; nothing is common, or something that was asked for is
            not; says what is missing and how to make it.
    """
    if len(sources) < 2:
        raise ValueError("name two runs or more: python -m asr.compare runs/a runs/b")
    keys = list(dict.fromkeys(key for source in sources for key in source.keys))
    pinned = {key[0] for source in sources if source.is_one for key in source.keys}
    keys = [key for key in keys if not pinned or key[0] in pinned]
    chosen = _chosen(keys, test_sets, decoders)
    # Where all inputs are evaluations' own folders, any decoder is the only key.
    named = [key for key in chosen if key[1] is not None] or chosen
    common, missing = [], []
    for key in named:
        lacking = [source for source in sources if not source.folders(key)]
        common += [] if lacking else [key]
        missing += [_missing(source, key, sources) for source in lacking]
    if missing and (not common or test_sets or decoders):
        raise ValueError("\n".join(missing))
    return common, missing


def read_group(sources: Sequence[Source], key: Key) -> list[Evaluation]:
    """Each input's evaluation of a test set by a decoder.

    Raises:
        ValueError: as `Source.read`, or they are not of the same utterances and references.
    """
    group = [source.read(key) for source in sources]
    for other in group[1:]:
        _check_same(group[0], other)
    return group


def read_by_test_set(
    sources: Sequence[Source], test_sets: Sequence[str] | None, decoders: Sequence[str] | None
) -> list[list[Evaluation]]:
    """All evaluations of all inputs, those of one test set together.

    An evaluation is called by what tells it from the others there: its input, its decoder, or both.

    Raises:
        ValueError: nothing is chosen; as `read_group`.
    """
    keys = [
        (summary["manifest"], summary["decoder"])
        for source in sources
        for summary in source.summaries.values()
    ]
    groups: dict[str, list[Evaluation]] = {}
    for key in _chosen(list(dict.fromkeys(keys)), test_sets, decoders):
        having = [
            s for s in sources if any(s.summaries[f]["decoder"] == key[1] for f in s.folders(key))
        ]
        groups.setdefault(key[0], []).extend(source.read(key) for source in having)
    for group in groups.values():
        for other in group[1:]:
            _check_same(group[0], other)
    return [_named_apart(group, len(sources) > 1) for group in groups.values()]


def _named_apart(group: Sequence[Evaluation], has_runs: bool) -> list[Evaluation]:
    has_decoders = len({e.decoder for e in group}) > 1
    if not has_runs:
        return [replace(e, name=e.decoder) for e in group]
    return [replace(e, name=f"{e.name}, {e.decoder}" if has_decoders else e.name) for e in group]


def _chosen(
    keys: Sequence[Key], test_sets: Sequence[str] | None, decoders: Sequence[str] | None
) -> list[Key]:
    chosen = [
        key
        for key in keys
        if (test_sets is None or key[0] in test_sets)
        and (decoders is None or key[1] is None or key[1] in decoders)
    ]
    if not chosen:
        have = ", ".join(f"{key[0]} by {key[1] or 'any decoder'}" for key in keys)
        raise ValueError(f"test_sets and decoders choose nothing; there are {have}")
    return chosen


def _summaries(path: Path) -> dict[Path, dict[str, Any]]:
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder; name runs, such as runs/a runs/b")
    for pattern in (SUMMARY, f"evaluation/*/{SUMMARY}", f"*/{SUMMARY}"):
        if files := sorted(path.glob(pattern)):
            return {file.parent: _summary(file) for file in files}
    command = shlex.join(["python", "-m", "asr.evaluate", f"checkpoint={path}"])
    raise ValueError(f"{path}: nothing was evaluated here; do so: {command}")


def _summary(file: Path) -> dict[str, Any]:
    try:
        summary = json.loads(file.read_bytes())
        named = all(isinstance(summary[key], str) for key in ("manifest", "decoder"))
    except (ValueError, LookupError, TypeError, RecursionError):
        named = False
    if not named:
        raise ValueError(f"{file}: not the summary of an evaluation; evaluate again")
    return summary  # type: ignore[no-any-return]


def _missing(source: Source, key: Key, sources: Sequence[Source]) -> str:
    test_set, decoder = key
    if source.is_one:
        return f"{source.path}: not an evaluation of {test_set}, as another input is"
    example = next(s.summaries[f] for s in sources for f in s.folders(key))
    manifest = Path("data") / f"{test_set}.jsonl"
    command = ["python", "-m", "asr.evaluate", f"checkpoint={source.path}"]
    options = example.get("options") or {}
    if decoder not in (None, "greedy"):
        command += [f"decoder={decoder}"]
        command += [f"decoder.lm={options['lm']}"] if options.get("lm") else []
    command += [str(manifest if manifest.is_file() else f"{test_set}.jsonl")]
    by = f" by {decoder}" if decoder else ""
    return (
        f"{source.path}: no evaluation of {test_set}{by}, which others have; make it: "
        f"{shlex.join(command)}"
    )


def _read(file: Path) -> tuple[Heard, ...]:
    utterances = list(_lines(file))
    errors = batch_word_errors(
        [u.reference for u in utterances], [u.hypothesis for u in utterances]
    )
    for number, (utterance, counted) in enumerate(zip(utterances, errors, strict=True), 1):
        if utterance.words != counted:
            raise ValueError(
                f"{file}:{number}: utterance {utterance.id}: its counts are not those of its "
                "texts; evaluate again"
            )
    return tuple(utterances)


def _lines(file: Path) -> Iterator[Heard]:
    if not file.is_file():
        raise ValueError(f"{file}: no such file beside its summary; evaluate again")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fields = json.loads(line)
                texts = [fields[key] for key in ("id", "reference", "hypothesis")]
                "".join([*texts, fields["speaker"] or ""]).encode()  # strings, and whole ones
                name, reference, hypothesis = texts
                counts, seconds = ErrorCounts(**fields["words"]), float(fields["duration"])
            except (ValueError, LookupError, TypeError, RecursionError):
                raise ValueError(
                    f"{file}:{number}: not an utterance as asr.evaluate writes it; evaluate again"
                ) from None
            yield Heard(name, fields["speaker"], seconds, reference, hypothesis, counts)


def _check_same(first: Evaluation, other: Evaluation) -> None:
    again = (
        f"{first.folder} and {other.folder} are not of the same {first.test_set}: {{}}. Evaluate "
        "both again, with the same manifest: python -m asr.evaluate checkpoint=RUN MANIFEST"
    )
    ids, other_ids = ([u.id for u in e.utterances] for e in (first, other))
    if ids != other_ids:
        only = sorted(set(ids) ^ set(other_ids))
        what = f"only one has utterance {only[0]}" if only else "their utterances are ordered apart"
        raise ValueError(again.format(f"{len(ids)} and {len(other_ids)} utterances; {what}"))
    for one, two in zip(first.utterances, other.utterances, strict=True):
        if one.reference != two.reference:
            what = f"the reference of {one.id} is {one.reference!r} and {two.reference!r}"
            raise ValueError(again.format(what))


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    if len(set(parts)) < len(parts):
        return [f"{path.name or path} ({number})" for number, path in enumerate(paths, 1)]
    length = next(n for n in range(1, 1000) if len({p[-n:] for p in parts}) == len(parts))
    return ["/".join(p[-length:]) for p in parts]
