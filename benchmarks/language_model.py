"""Is our n-gram estimation KenLM's, and how long does it take? And opening what it wrote?

    python benchmarks/language_model.py

Text and KenLM's own 3-gram of it lie in ../shared/data/decoding. Each time is the median of five,
warm: the kernels are compiled before the clock starts. Writes
`benchmarks/results/language_model.json`.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result

from asr.language_model.arpa import read_arpa, write_arpa
from asr.language_model.base import Arpa
from asr.language_model.counts import count_text
from asr.language_model.estimate import estimate
from asr.language_model.ngram import NGram
from asr.language_model.sentences import Units, read_sentences

DATA = Path(__file__).parents[2] / "shared/data/decoding"
LMPLZ_PERPLEXITY = 129.6  # as lmplz's own model gives it, unknown words left out
UNITS = Units("word", False, "keep", "'")


def seconds(work: Callable[[], Any]) -> float:
    """Median of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times), 3)


def entries(arpa: Arpa) -> list[dict[tuple[str, ...], tuple[float, float]]]:
    """Log-probability and back-off of each n-gram, by order."""
    words = np.array(arpa.vocabulary, dtype=object)
    return [
        dict(
            zip(
                map(tuple, words[g.words]),
                zip(*map(np.ndarray.tolist, g[1:]), strict=True),
                strict=True,
            )
        )
        for g in arpa.orders
    ]


def largest_gap(one: Arpa, other: Arpa) -> float:
    """Largest difference of two models' entries, log10; infinite if they list other n-grams."""
    gap = 0.0
    for ours, theirs in zip(entries(one), entries(other), strict=True):
        if ours.keys() != theirs.keys():
            return float("inf")
        gap = max(
            gap, max(abs(a - b) for k in ours for a, b in zip(ours[k], theirs[k], strict=True))
        )
    return gap


def main() -> None:
    """Estimate, compare, time, write."""
    text, theirs = DATA / "lm_train.txt.gz", DATA / "lm_3gram.arpa.gz"
    model = estimate(count_text([text], 3, UNITS)).arpa
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.arpa.gz"

        def whole() -> None:
            write_arpa(estimate(count_text([text], 3, UNITS)).arpa, path)

        def first() -> None:
            path.with_name(path.name + ".ngram").unlink(missing_ok=True)
            NGram.open(path)

        whole()
        figures = {
            "text_to_arpa_seconds": seconds(whole),
            "read_arpa_seconds": seconds(lambda: read_arpa(path)),
            "open_first_seconds": seconds(first),
            "open_again_seconds": seconds(lambda: NGram.open(path)),
        }
        found = NGram.open(path).perplexity(read_sentences([DATA / "lm_test.txt"], UNITS))
    write_result(
        "language_model",
        entries=sum(len(g.words) for g in model.orders),
        largest_gap_to_lmplz_log10=largest_gap(model, read_arpa(theirs)),
        perplexity=round(found.without_unknown, 3),
        perplexity_of_lmplz=LMPLZ_PERPLEXITY,
        perplexity_with_unknown=round(found.with_unknown, 3),
        tokens=found.tokens, unknown=found.unknown, **figures,
    )  # fmt: skip


if __name__ == "__main__":
    main()
