"""What is each part worth? Runs that differ in one thing, several seeds each.

    python benchmarks/ablation.py sortagrad_an4                  # trains what is missing, reports
    python benchmarks/ablation.py sortagrad_an4 --report         # reports what has been trained
    python benchmarks/ablation.py parts_an4 --seeds 1 2 --jobs 2 # some seeds, two runs side by side

Each run is `python -m asr.train` with one thread; stopped, the same command goes on. Scored is the
development set after the last epoch, never the best one, so that nothing is chosen by what it is
judged with. Means over seeds have Student's interval; differences from the first variant are taken
seed by seed. Writes results/ablation_STUDY.json and .md, and docs/images/ablation-STUDY.png.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from machine import write_result
from matplotlib.figure import Figure
from scipy.stats import t as student

ROOT = Path(__file__).resolve().parents[1]


class Study(NamedTuple):
    """base: options of all runs. variants: by name, the options that differ; the first is the base
    of comparison. seeds: how many."""

    title: str
    base: Sequence[str]
    variants: dict[str, Sequence[str]]
    seeds: int


class Run(NamedTuple):
    """What a finished run says: of its last validation, and of each on its way."""

    seed: int
    wer: float  # per cent
    cer: float  # per cent
    epochs: list[dict[str, float]]  # step, wer in per cent, loss in nats per token
    losses: list[float]  # of the first two epochs' updates, nats per token


ORDER = {
    "SortaGrad, batch norm": [],
    "batch norm": ["data.sortagrad_epochs=0"],
    "SortaGrad": ["model.batch_norm=false"],
    "neither": ["data.sortagrad_epochs=0", "model.batch_norm=false"],
}
PLAIN = ["objective=ctc", "optimizer=adamw", "trainer.precision=bfloat16"]
STUDIES = {
    "sortagrad_an4": Study(
        "SortaGrad and batch normalisation on AN4",
        ["experiment=an4", *PLAIN, "augment=[]", "trainer.epochs=12"],
        ORDER, 5,
    ),
    "sortagrad_librispeech_small": Study(
        "SortaGrad and batch normalisation on LibriSpeech-small",
        ["experiment=librispeech_small", *PLAIN, "augment=[]", "trainer.epochs=5"],
        ORDER, 5,
    ),
    "parts_an4": Study(
        "What the parts of AN4's recipe are worth, after 15 epochs",
        ["experiment=an4", "trainer.epochs=15"],
        {
            "the recipe": [],
            "CTC of one view": ["objective=ctc"],
            "CTC of one view, twice the epochs": ["objective=ctc", "trainer.epochs=30"],
            "AdamW": ["optimizer=adamw"],
            "no speed": ["augment=[]"],
            "no SpecAugment": ["spec_augment=none", "objective=ctc"],
            "noise, reverberation too": ["augment=[speed,reverb,noise]"],
            "no average of weights": ["trainer.average_decay=0"],
            "64 unigram pieces": ["tokenizer=unigram", "tokenizer.vocab_size=64"],
            "random order": ["data.sortagrad_epochs=0"],
        },
        3,
    ),
}  # fmt: skip


def name_of(study: str, variant: str, seed: int) -> str:
    """The run's name: letters, figures and dashes."""
    words = "".join(c if c.isalnum() else " " for c in f"{study} {variant}").split()
    return "-".join([*words, str(seed)])


def train(study: str, variant: str, seed: int, runs: Path) -> None:
    """Train one run to its end, or go on with it; what it prints goes to a file beside it."""
    folder = runs / name_of(study, variant, seed)
    if (folder / "finished").exists():
        return
    options = [*STUDIES[study].base, *STUDIES[study].variants[variant]]
    command = [
        sys.executable, "-m", "asr.train", *options, f"seed={seed}", f"runs={runs}",
        f"run={folder.name}", "threads=1", "device=cpu", "trainer.num_examples=0",
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(f"{folder / 'log'}: the run failed, or was stopped:\n{' '.join(command)}")
    (folder / "finished").touch()
    print(f"{folder.name}: {read(folder, seed).wer:.2f} %", flush=True)


def read(folder: Path, seed: int) -> Run:
    """What a run wrote."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    validations = [row for row in rows if "validation/wer" in row]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    last = validations[-1]
    epochs = [
        {"step": row["step"], "wer": 100 * row["validation/wer"], "loss": row["validation/loss"]}
        for row in validations
    ]
    losses = losses[: 2 * validations[0]["step"]]
    return Run(seed, 100 * last["validation/wer"], 100 * last["validation/cer"], epochs, losses)


def finished(study: str, variant: str, runs: Path) -> list[Run]:
    """The runs of a variant that came to their ends, by seed."""
    seeds = range(1, STUDIES[study].seeds + 1)
    folders = {seed: runs / name_of(study, variant, seed) for seed in seeds}
    return [read(f, seed) for seed, f in folders.items() if (f / "finished").exists()]


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean; None of one value, which says nothing of the spread."""
    if len(values) < 2:
        return None
    middle = statistics.mean(values)
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return middle - half, middle + half


def compare(found: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """A row for each variant."""
    first = {run.seed: run.wer for run in next(iter(found.values()))}
    rows = []
    for variant, runs in found.items():
        wers = [run.wer for run in runs]
        gaps = [run.wer - first[run.seed] for run in runs if run.seed in first]
        rows.append({
            "variant": variant,
            "seeds": [run.seed for run in runs],
            "wer": wers,
            "mean": statistics.mean(wers),
            "interval": interval(wers),
            "cer": statistics.mean(run.cer for run in runs),
            "against_first": statistics.mean(gaps) if gaps else None,
            "against_first_interval": interval(gaps),
            "epochs": [run.epochs for run in runs],
        })  # fmt: skip
    return rows


def page(name: str, study: Study, rows: list[dict[str, Any]], about: str) -> str:
    """The table in Markdown."""
    lines = [
        f"# {study.title}",
        "",
        f"`python benchmarks/ablation.py {name}`: `{' '.join(study.base)}`.",
        "WER of the development set after the last epoch, in %; mean over seeds with Student's",
        "95 % interval; difference from the first row, seed by seed.",
        "",
        "| variant | options | seeds | WER | interval | CER | difference | interval |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        options = " ".join(study.variants[row["variant"]])
        cells = [row["variant"], f"`{options}`" if options else "", str(len(row["seeds"]))]
        cells += [f"{row['mean']:.2f}", between(row["interval"]), f"{row['cer']:.2f}", "", ""]
        if row is not rows[0] and row["against_first"] is not None:
            cells[-2:] = [
                f"{row['against_first']:+.2f}",
                between(row["against_first_interval"], "+.2f"),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    shown = f"![The curves](../../docs/images/{picture(name).name})"
    return "\n".join([*lines, "", shown, "", about, ""])


def between(ends: Sequence[float] | None, form: str = ".2f") -> str:
    """An interval in words."""
    return f"{ends[0]:{form}} to {ends[1]:{form}}" if ends else ""


def picture(name: str) -> Path:
    """Where a study's curves are drawn."""
    return ROOT / "docs" / "images" / f"ablation-{name.replace('_', '-')}.png"


def draw(path: Path, study: Study, found: dict[str, list[Run]]) -> None:
    """WER and loss of the development set by epochs, and the first updates' training loss."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    for number, (variant, runs) in enumerate(found.items()):
        colour = f"C{number}"
        for run in runs:
            epochs = range(1, len(run.epochs) + 1)
            axes[0].plot(epochs, [e["wer"] for e in run.epochs], color=colour, lw=0.8, alpha=0.6)
            axes[1].plot(epochs, [e["loss"] for e in run.epochs], color=colour, lw=0.8, alpha=0.6)
        smooth = [statistics.mean(run.losses[i] for run in runs)
                  for i in range(min(len(run.losses) for run in runs))]  # fmt: skip
        axes[2].plot(range(1, len(smooth) + 1), smooth, color=colour, lw=0.9)
        axes[0].plot([], [], color=colour, label=variant)
    nats = "nats per token"
    axes[0].set(title="WER of the development set", xlabel="epoch", ylabel="%")
    axes[1].set(title="loss of the development set", xlabel="epoch", ylabel=nats, yscale="log")
    axes[2].set(title="training loss, two epochs", xlabel="update", ylabel=nats, yscale="log")
    axes[0].legend(fontsize=8)
    figure.suptitle(study.title)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--variants", nargs="+", help="some of them, by name")
    parser.add_argument("--seeds", nargs="+", type=int, help="some of them, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, a core each")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args()
    study, runs = STUDIES[options.study], options.runs.resolve()
    if not options.report:
        seeds = options.seeds or range(1, study.seeds + 1)
        wanted = list(product(seeds, options.variants or study.variants))
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda job: train(options.study, job[1], job[0], runs), wanted))
    found = {v: done for v in study.variants if (done := finished(options.study, v, runs))}
    if not found:
        sys.exit(f"{runs}: no run of {options.study} has come to its end")
    rows = compare(found)
    write_result(f"ablation_{options.study}", base=study.base, rows=rows)
    result = ROOT / "benchmarks" / "results" / f"ablation_{options.study}"
    about = json.loads(result.with_suffix(".json").read_text(encoding="utf-8"))["machine"]
    text = page(options.study, study, rows, ", ".join(f"{k} {v}" for k, v in about.items()))
    result.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(picture(options.study), study, found)


if __name__ == "__main__":
    main()
