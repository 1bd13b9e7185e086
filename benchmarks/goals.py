"""What was to be reached, what was, and why not where it was not: one table of the results.

python benchmarks/goals.py          # writes results/goals.md from the results beside it
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Goal(NamedTuple):
    """what: is measured. sign: "<=" or ">=". limit, unit. of: results by their name to a figure."""

    what: str
    sign: str
    limit: float
    unit: str
    result: str
    of: Callable[[Any], float | None]

    def reached(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure <= self.limit if self.sign == "<=" else figure >= self.limit


def _ten_million(name: str) -> Callable[[Any], float | None]:
    return lambda found: next((s[name] for s in found["sizes"] if s["size"] == 10**7), None)


def _share(kind: str) -> Callable[[Any], float]:
    return lambda found: 100 * float(found["formats"][kind]["loader_of_bare"])


def _epochs(name: str) -> Callable[[Any], float]:
    return lambda found: max(float(epoch[name]) for epoch in found["epochs"])


def _gpu(name: str, key: str = "") -> Callable[[Any], float]:
    """The worst of the models in bfloat16."""

    def worst(found: Any) -> float:
        models = [v for k, v in found["found"].items() if k.startswith("model") and "bf" in k]
        if key:
            return 100 * max(float(m[key][name]) for m in models)
        return 100 * min(float(m[name]) for m in models)

    return worst


GOALS = [
    Goal("step on a CPU, of its arithmetic at the rate of a large product", ">=", 60, "%", "step",
         lambda f: 100 * f["step_of_bound"]),
    Goal("its recurrences, likewise", ">=", 80, "%", "step",
         lambda f: 100 * f["recurrences_of_bound"]),
    Goal("its recurrences, at the rate of products of their own sizes", ">=", 80, "%", "step",
         lambda f: 100 * f["recurrences_of_their_products"]),
    Goal("step, times as fast as with packed sequences", ">=", 4, "x", "step",
         lambda f: f["times_as_fast_as_packed"]),
    Goal("log_mel, times an STFT of the same precision and a product", "<=", 1.3, "x", "features",
         lambda f: f["times_stft_and_product_in_float64"]),
    Goal("log_mel, times an STFT in float32 and a product", "<=", 1.3, "x", "features",
         lambda f: f["times_stft_and_product_in_float32"]),
    Goal("WER of 100,000 utterances", "<=", 2, "s", "error_rate",
         lambda f: f["seconds_a_tenth_wrong"]),
    *[Goal(f"loading {kind}, of the bare decoder's rate", ">=", 80, "%", "loading", _share(kind))
      for kind in ("wav", "flac", "opus", "mp3")],
    Goal("padding after SortaGrad, worst epoch", "<=", 2, "%", "padding",
         _epochs("padding_percent")),
    Goal("batches full", ">=", 95, "%", "padding",
         lambda f: min(e["full_percent"] for e in f["epochs"])),
    Goal("pairs that meet again in the next epoch, worst", "<=", 5, "%", "padding",
         _epochs("again_percent")),
    Goal("10 M utterances opened again", "<=", 1, "s", "manifest",
         _ten_million("open_seconds")),
    Goal("10 M utterances planned", "<=", 5, "s", "manifest",
         _ten_million("plan_seconds")),
    Goal("10 M utterances, memory of the main process", "<=", 2000, "MB", "manifest",
         _ten_million("peak_megabytes")),
    Goal("10 M utterances, unshared in a loader process", "<=", 50, "MB", "manifest",
         _ten_million("worker_megabytes")),
    Goal("10 M utterances, one at random", "<=", 100, "us", "manifest",
         _ten_million("access_microseconds")),
    Goal("train --help", "<=", 1, "s", "startup", lambda f: f["seconds"]["train --help"]),
    Goal("a mistyped option", "<=", 1, "s", "startup", lambda f: f["seconds"]["train modle=x"]),
    Goal("first update on tones", "<=", 6, "s", "startup",
         lambda f: f["seconds"]["first update, kernels kept"]),
    Goal("a GPU waits for data, worst of four models", "<=", 3, "%", "gpu",
         _gpu("waits_share", "real")),
    Goal("a GPU's step, of one on synthetic data that lies there, worst", ">=", 90, "%", "gpu",
         _gpu("of_synthetic")),
]  # fmt: skip

WHY = {
    "its recurrences, likewise": "products of 16 rows, a frame at a time, are slower than one "
    "large product; at the rate of products of their own sizes the goal is reached (next row)",
    "step, times as fast as with packed sequences": "both share the convolutions, the loss and the "
    "features, and the packed recurrence is slower by as much as torch's fused path gains",
    "log_mel, times an STFT in float32 and a product": "the transform is in float64 on purpose: so "
    "that padding changes no feature (asr/features/frames.py)",
    "loading wav, of the bare decoder's rate": "for wav the decoder is a copy: a batch's memory is "
    "written once more, and its pages are new each time",
    "a GPU's step, of one on synthetic data that lies there, worst": "a guess: real batches differ "
    "in shape, and cuDNN plans each new one, where synthetic ones take turns among six; shapes "
    "rounded to buckets come next",
}


def main() -> None:
    """Read results, write the table, print it."""
    lines = [
        "# Goals",
        "",
        "`make bench` measures all but the GPU (`benchmarks/gpu.py`). Each figure's machine and "
        "options stand in its own result.",
        "",
        "| what | goal | measured | | result |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for goal in GOALS:
        path = RESULTS / f"{goal.result}.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        figure = None if found is None else goal.of(found)
        row = f"| {goal.what} | {goal.sign} {goal.limit:g} {goal.unit} "
        if found is None or figure is None:
            lines.append(f"{row}| | not measured | |")
            continue
        verdict = "reached" if goal.reached(figure) else f"MISSED: {WHY.get(goal.what, '')}"
        place = f"{path.name}, {found['machine']['commit']}, {found['machine']['date']}"
        lines.append(f"{row}| {figure:.3g} {goal.unit} | {verdict} | {place} |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "goals.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
