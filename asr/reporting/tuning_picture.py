"""A search for a decoder's weights to look at: the WER of every trial over what was searched."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from asr.scoring.tuning import Trial, Tuning

_MAP = ("lm_weight", "word_score")
_SAID = {"lm_weight": "lm_weight, of the language model", "word_score": "word_score, nats"}
_COLOURS = "viridis_r"

Numbers = NDArray[np.float64]


def draw_tuning(tuning: Tuning, title: str, path: Path) -> None:
    """Write a PNG: WER over lm_weight x word_score, if both were searched, and over each option.

    The worst trials of a wide range would leave one colour to all good ones: colours and heights
    end at greedy decoding's WER or at the upper quartile, whichever is higher, and what is worse
    is a triangle there.
    """
    rates = np.array([100 * trial.wer.rate for trial in tuning.trials])
    greedy = 100 * tuning.greedy.wer.rate
    ceiling = max(float(np.quantile(rates, 0.75)), greedy, rates.min() + 0.1)
    scale = Normalize(rates.min(), ceiling)
    names = list(tuning.best.options)
    mapped = set(_MAP) <= set(names)
    rows = -(-len(names) // 2)
    heights = [4.6 * mapped, 2.5 * rows]
    figure = Figure(figsize=(7.5, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=10)
    grid = figure.add_gridspec(1 + rows, 2, height_ratios=[max(heights[0], 1e-3), *[2.5] * rows])
    if mapped:
        _draw_map(figure.add_subplot(grid[0, :]), tuning, rates, scale)
    for number, name in enumerate(names):
        panel = figure.add_subplot(grid[1 + number // 2, number % 2])
        _scatter(panel, _values(tuning.trials, name), np.minimum(rates, ceiling), rates, scale, 16)
        best = tuning.best
        x = _values([best], name)
        panel.plot(x, [100 * best.wer.rate], "*", ms=13, mfc="none", mec="red")
        panel.axhline(greedy, color="0.6", linewidth=1, linestyle="--")
        panel.annotate(
            "greedy", (0.99, greedy), (0, -2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="top", fontsize=7, color="0.4",
        )  # fmt: skip
        panel.set_xlabel(_SAID.get(name, name))
        panel.set_ylabel("WER, %")
        panel.set_ylim(top=ceiling + 0.08 * (ceiling - rates.min()))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_map(axes: Axes, tuning: Tuning, rates: Numbers, scale: Normalize) -> None:
    x, y = (_values(tuning.trials, name) for name in _MAP)
    colours = _scatter(axes, x, y, rates, scale, 70)
    for trial, label, marker, size, edge in (
        (tuning.untuned, "untuned", "o", 14, "black"),
        (tuning.best, "best", "*", 22, "red"),
    ):
        place = [_values([trial], name) for name in _MAP]
        if not np.isnan(place).any():
            axes.plot(
                *place, marker, ms=size, mfc="none", mec=edge,
                label=f"{label}: {100 * trial.wer.rate:.2f} %",
            )  # fmt: skip
    axes.set_xlabel(_SAID[_MAP[0]])
    axes.set_ylabel(_SAID[_MAP[1]])
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8, labelspacing=1.2, borderpad=0.8)
    bar = axes.figure.colorbar(colours, ax=axes, extend="max", pad=0.02)
    bar.set_label(f"WER, % (greedy {100 * tuning.greedy.wer.rate:.2f}; triangles: worse)")


def _scatter(
    axes: Axes, x: Numbers, y: Numbers, rates: Numbers, scale: Normalize, size: float
) -> PathCollection:
    for marker, beyond in (("^", True), ("o", False)):
        shown = (rates > float(scale.vmax or 0)) == beyond
        points = axes.scatter(
            x[shown], y[shown], c=rates[shown], cmap=_COLOURS, norm=scale, s=size, marker=marker
        )
    return points


def _values(trials: Sequence[Trial], name: str) -> Numbers:
    """An option of each trial; null, which only the first may have, is NaN: not drawn."""
    return np.array([trial.options[name] for trial in trials], dtype=np.float64)
