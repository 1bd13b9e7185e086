"""From facts to findings: which utterances are at fault, the worst first, and with what numbers."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.checking.facts import Facts
from asr.checking.kinds import KINDS
from asr.checking.repeats import Repeats, across, copies
from asr.checking.speaking_rate import Rates, speaking_rates

WHOLE_FILE = "file_duration"  # a manifest's key: the slice at a file's beginning is meant


@dataclass(frozen=True)
class Limits:
    """From where on something is a finding; see configs/check.yaml."""

    duration_seconds: float
    silence_db: float
    contrast_db: float
    clipped_share: float
    dc_offset: float
    slowest: float
    fastest: float
    deviations: float
    rare_count: int

    def __post_init__(self) -> None:
        for name in ("duration_seconds", "contrast_db", "clipped_share", "dc_offset", "rare_count"):
            if getattr(self, name) < 0:
                raise ValueError(f"limits.{name}={getattr(self, name)} must be at least 0")
        if not 0 <= self.slowest < self.fastest:
            raise ValueError(
                f"limits.slowest={self.slowest} must be at least 0 and below "
                f"limits.fastest={self.fastest}"
            )
        if self.deviations <= 0:
            raise ValueError(f"limits.deviations={self.deviations} must be above 0")


@dataclass(frozen=True)
class Found:
    """The findings of one kind.

    index: (k,) places of the utterances, the worst first. detail: the numbers of one of them.
    """

    index: NDArray[np.int64]
    detail: Callable[[int], str]


@dataclass(frozen=True)
class Findings:
    """All findings by kind, in the order of `KINDS`; errors: by kind, (k,) bool along `index`."""

    facts: Facts
    found: dict[str, Found]
    errors: dict[str, NDArray[np.bool_]]
    rates: Rates

    def left_out(self) -> dict[int, list[str]]:
        """The kinds of error of every utterance that has one."""
        reasons: dict[int, list[str]] = {}
        for kind, found in self.found.items():
            for i in np.sort(found.index[self.errors[kind]]).tolist():
                reasons.setdefault(i, []).append(kind)
        return dict(sorted(reasons.items()))


def judge(facts: Facts, limits: Limits, leave_out: Collection[str]) -> Findings:
    """Find what is wrong.

    Args:
        facts: what was read.
        limits: from where on it is wrong.
        leave_out: the kinds that are errors. Those that only speak against training on an
            utterance are no errors in a held-out set.
    """
    found = _of_audio(facts, limits) | _of_text(facts, limits)
    heard = np.ones(len(facts), bool)
    heard[found["silence"].index] = False
    found |= _of_repeats(facts, heard)
    bad = np.zeros(len(facts), bool)
    for kind, each in found.items():
        bad[each.index[_errors(kind, each.index, facts, leave_out)]] = True
    usable = heard & (facts.sound["seconds"] > 0) & (facts.characters > 0)
    rates = speaking_rates(
        facts.characters, facts.sound["sounding"], usable, usable & ~bad,
        slowest=limits.slowest, fastest=limits.fastest, deviations=limits.deviations,
        removes="speaking_rate" in leave_out,
    )  # fmt: skip
    found["speaking_rate"] = Found(
        rates.index,
        lambda i: (
            f"{rates.rates[i]:.1f} characters a second where {rates.usual:.1f} are usual, "
            f"in {facts.sound['sounding'][i]:.2f} s that sound"
        ),
    )
    found = {kind: found[kind] for kind in KINDS}
    errors = {k: _errors(k, f.index, facts, leave_out) for k, f in found.items()}
    return Findings(facts, found, errors, rates)


def _errors(
    kind: str, index: NDArray[np.int64], facts: Facts, leave_out: Collection[str]
) -> NDArray[np.bool_]:
    if kind not in leave_out:
        return np.zeros(len(index), bool)
    return facts.trained[index] if KINDS[kind].train_only else np.ones(len(index), bool)


def _worst(
    bad: NDArray[np.bool_], badness: NDArray[np.floating] | None = None
) -> NDArray[np.int64]:
    index = np.flatnonzero(bad)
    if badness is None:
        return index
    return index[np.argsort(-badness[index], kind="stable")]


def _of_audio(facts: Facts, limits: Limits) -> dict[str, Found]:
    sound = facts.sound
    readable = sound["sample_rate"] > 0
    beyond = facts.offsets + facts.durations - sound["file_seconds"]
    rest = sound["file_seconds"] - facts.durations
    cut = readable & (facts.offsets == 0) & (rest > limits.duration_seconds)
    cut &= ~_reads_on(facts)
    cut[[i for i in np.flatnonzero(cut).tolist() if _is_meant(facts, i)]] = False
    contrast = sound["loud_db"] - sound["quiet_db"]
    silent = (sound["loud_db"] < limits.silence_db) | (contrast < limits.contrast_db)
    offset = np.abs(sound["offset"])
    rate = facts.target.sample_rate
    other = readable & (sound["sample_rate"] != rate)

    def duration(i: int) -> str:
        utterance, seconds = facts.utterance(i), sound["file_seconds"][i]
        begin = f"from {utterance.offset:.2f} s, " if utterance.offset else ""
        return f"{begin}{utterance.duration:.2f} s are claimed of a file of {seconds:.2f} s"

    def silence(i: int) -> str:
        loud = f"the loudest 10 ms have {sound['loud_db'][i]:.1f} dB of full scale"
        return loud if sound["loud_db"][i] < limits.silence_db else (
            f"no more than {contrast[i]:.1f} dB between the loudest and the quietest"
        )  # fmt: skip

    return {
        "unreadable": Found(
            np.array(sorted(facts.unreadable), np.int64), lambda i: facts.unreadable[i]
        ),
        "duration": Found(_worst(readable & (beyond > limits.duration_seconds), beyond), duration),
        "cut": Found(_worst(cut, rest), duration),
        "silence": Found(_worst(silent, -sound["loud_db"]), silence),
        "clipping": Found(
            _worst(sound["clipped"] > limits.clipped_share, sound["clipped"]),
            lambda i: f"{100 * sound['clipped'][i]:.2f} % of the samples",
        ),
        "dc_offset": Found(
            _worst(offset > limits.dc_offset, offset),
            lambda i: f"the mean is {100 * sound['offset'][i]:+.2f} % of full scale",
        ),
        "sample_rate": Found(
            _worst(other, -sound["sample_rate"]),
            lambda i: f"{sound['sample_rate'][i]} Hz, the model hears {rate} Hz",
        ),
    }


def _reads_on(facts: Facts) -> NDArray[np.bool_]:
    """(n,) whether another utterance begins later in the same file."""
    return np.isin(facts.audios, facts.audios[facts.offsets > 0])


def meant_slices(findings: Findings) -> NDArray[np.int64]:
    """Places of the slices at the beginning of a file whose other slices are there too."""
    facts = findings.facts
    rest = facts.sound["file_seconds"] - facts.durations
    return np.flatnonzero((facts.offsets == 0) & (rest > 0) & _reads_on(facts))


def _is_meant(facts: Facts, index: int) -> bool:
    """Whether the manifest itself says that the file is longer."""
    said = facts.utterance(index).extra.get(WHOLE_FILE)
    seconds = facts.sound["file_seconds"][index]
    return isinstance(said, int | float) and abs(said - seconds) < 0.1


def _of_text(facts: Facts, limits: Limits) -> dict[str, Found]:
    tokenizer, utterance = facts.target.tokenizer, facts.utterance
    rare = {c for c, n in facts.counts.items() if n <= limits.rare_count and not c.isspace()}
    odd = np.zeros(len(facts), bool)
    if rare:
        for i in np.flatnonzero(facts.trained).tolist():
            odd[i] = not rare.isdisjoint(utterance(i).text)
    missing = facts.needed - facts.frames
    infeasible = (facts.sound["seconds"] > 0) & (facts.needed >= 0) & (missing > 0)

    def rarely(i: int) -> str:
        those = sorted(rare & set(utterance(i).text))
        return ", ".join(f"{c!r} occurs {facts.counts[c]} times in all" for c in those)

    return {
        "empty": Found(np.flatnonzero(facts.characters == 0), lambda i: "no character"),
        "outside_alphabet": Found(
            np.flatnonzero(facts.outside),
            lambda i: ", ".join(map(repr, sorted(tokenizer.unknown(utterance(i).text)))),
        ),
        "rare_character": Found(np.flatnonzero(odd), rarely),
        "infeasible": Found(
            _worst(infeasible, missing.astype(np.float64)),
            lambda i: (
                f"{facts.needed[i]} frames needed, {facts.frames[i]} there, from "
                f"{facts.sound['seconds'][i]:.2f} s"
            ),
        ),
    }


def _of_repeats(facts: Facts, heard: NDArray[np.bool_]) -> dict[str, Found]:
    side = np.where(facts.trained, 0, facts.split.astype(np.int64) + 1)
    # Two silences are equal and yet no copies of a recording.
    audio = np.where(heard & (facts.sound["seconds"] > 0), facts.sound["digest"], 0)
    texts = np.where(facts.characters > 0, facts.texts, 0).astype(np.uint64)
    duplicate, contradiction = copies(audio.astype(np.uint64), facts.texts, side)
    long = -facts.characters.astype(np.float64)  # whole sentences before "yes"

    def repeated(repeats: Repeats, *, with_text: bool) -> Found:
        others = dict(zip(repeats.index.tolist(), repeats.other.tolist(), strict=True))
        index = repeats.index[np.argsort(long[repeats.index], kind="stable")]
        return Found(index, lambda i: _other(facts, others[i], with_text))

    speakers = repeated(across(facts.speakers, side), with_text=False)
    return {
        "leak": repeated(across(audio.astype(np.uint64), side), with_text=True),
        "contradiction": repeated(contradiction, with_text=True),
        "duplicate": repeated(duplicate, with_text=False),
        "speaker_overlap": Found(
            speakers.index,
            lambda i: f"speaker {facts.utterance(i).speaker}, {speakers.detail(i)}",
        ),
        "same_text": repeated(across(texts, side), with_text=False),
    }


def _other(facts: Facts, index: int, with_text: bool) -> str:
    utterance = facts.utterance(index)
    text = f": {utterance.text!r}" if with_text else ""
    return f"also {utterance.id} of {facts.names[facts.split[index]]}{text}"
