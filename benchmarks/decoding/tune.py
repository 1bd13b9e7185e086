"""Search each decoder's settings on the first 100 utterances, and keep what was found.

    .venv/bin/python benchmarks/decoding/tune.py NAME...

Every decoder gets the same search, seeded, and as many tries: first the weights at a generous
beam, then everything together, where each try changes one of the settings that no other beats in
both errors and seconds. (pyctcdecode and ctc-beam-decoder give the same texts and start from each
other's best; the former, being slow, gets few tries.) Writes `benchmarks/decoding/tuned/NAME.json`,
a try a line; where there is such a file, the search goes on from it.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import ours

from asr.scoring.error_rate import ErrorCounts, batch_word_errors

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
TUNED = HERE / "tuned"
DATA = PROJECT / "../shared/data/decoding"
PEERS = ["flashlight-text", "ctc-beam-decoder", "pyctcdecode"]
DECODERS = [*PEERS, "ours"]
WEIGHT_TRIES, OTHER_TRIES, FEW_TRIES = 24, 150, 24
TWINS = {"ctc-beam-decoder": "pyctcdecode", "pyctcdecode": "ctc-beam-decoder"}
NEAR = 0.01  # tries worse than the best WER by more than this are not changed further
Settings = dict[str, Any]
Try = dict[str, Any]  # wer, seconds, settings

_PREFIX_SEARCH: dict[str, tuple[Any, ...]] = {
    "lm_weight": ("linear", 0.2, 1.5),
    "word_score": ("linear", -1.0, 4.0),
    "beam_size": ("count", 5, 1000),
    "beam_threshold": ("log", 2.0, 25.0),
    "token_threshold": ("log", 2.0, 10.0),
}
SPACES: dict[str, dict[str, tuple[Any, ...]]] = {
    "flashlight-text": {
        "lm_weight": ("linear", 0.5, 2.5),
        "word_score": ("linear", -1.0, 3.0),
        "sil_score": ("linear", -3.0, 1.0),
        "log_add": ("choice", False, True),
        "beam_size": ("count", 5, 500),
        "beam_size_token": ("count", 3, 29),
        "beam_threshold": ("log", 6.0, 60.0),
    },
    "ctc-beam-decoder": _PREFIX_SEARCH,
    "pyctcdecode": _PREFIX_SEARCH,
    "ours": ours.SPACE,
}
GENEROUS: dict[str, Settings] = {
    "flashlight-text": {"beam_size": 100, "beam_size_token": 29, "beam_threshold": 50.0},
    "ctc-beam-decoder": {"beam_size": 100, "beam_threshold": 10.0, "token_threshold": 5.0},
    "ours": ours.GENEROUS,
}


class Worker:
    """A decoder in a process of its own, with one thread unless it is told otherwise."""

    def __init__(self, name: str, *arguments: str) -> None:
        peer = name in PEERS
        python = PROJECT / (".peers_env" if peer else ".venv") / "bin/python"
        script = HERE / ("peers.py" if peer else "ours.py")
        self.name, self.errors = name, tempfile.TemporaryFile("w+")  # noqa: SIM115
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [python, script, name, *arguments], env=os.environ | one, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def __call__(self, settings: Settings, first: int, last: int, **how: int) -> dict[str, Any]:
        """See `worker.answer`."""
        request = {"settings": settings, "first": first, "last": last} | how
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        if not (line := self.process.stdout.readline()):
            self.errors.seek(0)
            raise SystemExit(f"{self.name} ended on {request}:\n{self.errors.read()[-2000:]}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def word_counts(texts: list[str], first: int) -> list[ErrorCounts]:
    """Errors of each utterance from `first` on."""
    references = (DATA / "references.txt").read_text(encoding="utf-8").splitlines()
    return batch_word_errors(references[first : first + len(texts)], texts)


def drawn(rng: np.random.Generator, kind: str, *values: Any, near: Any = None) -> Any:
    """A value of an option; `near` another one, if given."""
    if kind == "choice":
        return values[rng.integers(len(values))]
    low, high = values if kind == "linear" else map(math.log, values)
    if near is None:
        value = rng.uniform(low, high)
    else:
        centre = near if kind == "linear" else math.log(near)
        value = float(np.clip(rng.normal(centre, 0.12 * (high - low)), low, high))
    if kind == "linear":
        return round(value, 3)
    return round(math.exp(value)) if kind == "count" else round(math.exp(value), 2)


def changed(rng: np.random.Generator, settings: Settings, space: dict[str, Any]) -> Settings:
    """The same settings with about half of the options in `space` drawn anew, near by."""
    names = [name for name in space if rng.random() < 0.5] or [
        list(space)[rng.integers(len(space))]
    ]
    return settings | {name: drawn(rng, *space[name], near=settings[name]) for name in names}


def front(tries: list[Try]) -> list[Try]:
    """The tries that no other beats in both WER and seconds, and that are near the best WER."""
    found, fastest = [], math.inf
    for one in sorted(tries, key=lambda t: (t["wer"], t["seconds"])):
        if one["seconds"] < fastest and one["wer"] <= min(t["wer"] for t in tries) + NEAR:
            found.append(one)
            fastest = one["seconds"]
    return found


def tune(name: str, tries: list[Try]) -> list[Try]:
    """More tries of a decoder: WER, seconds for the 100 utterances, settings."""
    rng, space = np.random.default_rng(len(tries)), SPACES[name]
    worker, tries = Worker(name), list(tries)
    weights = {k: v for k, v in space.items() if k not in GENEROUS.get(name, {})}

    def attempt(settings: Settings) -> None:
        if any(settings == one["settings"] for one in tries):
            return
        reply = worker(settings, 0, 100)
        counts = sum(word_counts(reply["texts"], 0), ErrorCounts(0, 0, 0, 0))
        seconds = sum(reply["seconds"])
        tries.append({"wer": round(counts.rate, 6), "seconds": seconds, "settings": settings})
        print(f"{name} {len(tries)}: WER {100 * counts.rate:.2f} {100 / seconds:.1f}/s {settings}")

    for one in front(kept(TWINS.get(name, ""))):
        attempt(one["settings"])
    if not tries:
        for index in range(WEIGHT_TRIES):
            best = sorted(tries, key=lambda t: t["wer"])[:3]
            if index < WEIGHT_TRIES // 2:
                settings = {k: drawn(rng, *v) for k, v in weights.items()} | GENEROUS[name]
            else:
                settings = changed(rng, best[index % 3]["settings"], weights)
            attempt(settings)
    for _ in range(FEW_TRIES if name == "pyctcdecode" else OTHER_TRIES):
        parents = front(tries)
        attempt(changed(rng, parents[rng.integers(len(parents))]["settings"], space))
    worker.close()
    return tries


def kept(name: str) -> list[Try]:
    """The tries that were written, if any."""
    file = TUNED / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else []


def keep(name: str, tries: list[Try]) -> None:
    """Write the tries, best first, a line each."""
    TUNED.mkdir(exist_ok=True)
    lines = [json.dumps(t) for t in sorted(tries, key=lambda t: (t["wer"], t["seconds"]))]
    (TUNED / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    for decoder in sys.argv[1:]:
        keep(decoder, tune(decoder, kept(decoder)))
