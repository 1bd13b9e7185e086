"""How long does the word error rate of 100,000 utterances take?

    python benchmarks/error_rate.py          # writes results/error_rate.json

References of 1 to 40 words of a vocabulary spread as a language's, hypotheses with a tenth of the
words wrong, and with nine tenths. Compilation is timed by itself, in a process without a cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from machine import write_result

from asr.scoring.error_rate import batch_word_errors

_COMPILE = (
    "import time; from asr.scoring.error_rate import batch_word_errors; t = time.perf_counter();"
    "batch_word_errors(['a b'], ['a']); print(time.perf_counter() - t)"
)


def texts(pairs: int, wrong: float) -> tuple[list[str], list[str]]:
    """References and hypotheses; of the wrong words a third each is missing, new or another."""
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(20000)])

    def draw(count: int) -> list[str]:
        return list(words[(len(words) ** rng.random(count)).astype(int)])  # as 1 / rank

    references, hypotheses = [], []
    for length in rng.integers(1, 41, pairs):
        reference = draw(length)
        kinds = rng.choice(4, length, p=[1 - wrong, wrong / 3, wrong / 3, wrong / 3])
        hypothesis = []
        for word, kind, other in zip(reference, kinds, draw(length), strict=True):
            hypothesis += [[word], [], [word, other], [other]][kind]
        references.append(" ".join(reference))
        hypotheses.append(" ".join(hypothesis))
    return references, hypotheses


def compile_seconds() -> float:
    """Of the first call, with nothing kept from before."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE], env=os.environ | {"NUMBA_CACHE_DIR": folder},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return float(done.stdout)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    batch_word_errors(["a b"], ["a"])
    found: dict[str, float] = {"pairs": options.pairs, "seconds_to_compile": compile_seconds()}
    for name, wrong in (("a_tenth_wrong", 0.1), ("nine_tenths_wrong", 0.9)):
        references, hypotheses = texts(options.pairs, wrong)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            counts = sum(batch_word_errors(references, hypotheses))
            times.append(time.perf_counter() - began)
        found[f"seconds_{name}"] = statistics.median(times)
        found[f"wer_{name}"] = counts.rate
    found = {name: round(value, 3) for name, value in found.items()}
    if options.no_write:
        print(json.dumps(found, indent=1))
    else:
        write_result("error_rate", **found)


if __name__ == "__main__":
    main()
