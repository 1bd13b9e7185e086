"""Ten million utterances: how long they take to open and to plan, and how much memory they cost.

    python benchmarks/manifest.py                          # 10 k to 10 M, about 4 GB of disk
    python benchmarks/manifest.py --sizes 10000 100000     # a rehearsal

Manifests are synthesised: 5.4 s on average (log-normal, 0.5 to 30 s), so that 10 M are about 15,000
hours; the audio of all is one file of noise. Each size is indexed in one process and used in
another, whose peak memory is its own. Writes `benchmarks/results/manifest.json` and `manifest.md`
and, where there are several sizes, the curve `docs/images/manifest.png`.
"""

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from hydra import compose, initialize_config_dir
from machine import about, write_result

from asr.augment.speed import Speed
from asr.corpus.manifest import read_manifest
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData
from asr.tokenizer.char import Char
from asr.training.fit import check_transcripts
from asr.wiring.recognizer import build_recognizer
from asr.wiring.schema import register_schemas

ROOT = Path(__file__).parents[1]
RATE, WORKERS, UPDATES = 16000, 2, 40
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
GOALS = {
    "open_seconds": ("opened again (s)", 1.0),
    "plan_seconds": ("an epoch planned (s)", 5.0),
    "peak_megabytes": ("peak memory of the main process (MB)", 2000.0),
    "worker_megabytes": ("unshared in a loader process, beyond the least size's (MB)", 50.0),
    "access_microseconds": ("an utterance at random (us)", 100.0),
    "resume_seconds": ("first batch at an epoch's last updates (s)", None),
    "index_seconds": ("indexed, once (s)", None),
    "transcripts_seconds": ("transcripts checked, once (s)", None),
    "transcripts_again_seconds": ("transcripts, again (s)", None),
}  # fmt: skip


def synthesise(path: Path, count: int) -> None:
    """Write a manifest of so many utterances."""
    rng = np.random.default_rng(0)
    letters = np.array(list(ALPHABET[1:]))
    words = ["".join(rng.choice(letters, rng.integers(1, 9))) for _ in range(5000)]
    texts = [[" ".join(rng.choice(words, size)) for _ in range(50)] for size in range(1, 80)]
    soundfile.write(path.with_name("noise.wav"), rng.normal(0, 0.1, 31 * RATE), RATE)
    with path.open("w") as file:
        for start in range(0, count, 100_000):
            size = min(100_000, count - start)
            durations = rng.lognormal(1.5, 0.6, size).clip(0.5, 30).round(3).tolist()
            which = rng.integers(0, 50, size).tolist()
            file.writelines(
                f'{{"audio_filepath": "noise.wav", "duration": {d}, '
                f'"text": "{texts[int(2.6 * d)][w]}", "id": "{start + i:08d}", '
                f'"speaker": "{i % 5000}"}}\n'
                for i, (d, w) in enumerate(zip(durations, which, strict=True))
            )


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and how long it takes."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def megabytes(process: str, file: str, *keys: str) -> float:
    """Memory as Linux counts it."""
    lines = (line.split() for line in Path(f"/proc/{process}/{file}").read_text().splitlines())
    return sum(int(parts[1]) for parts in lines if parts[0].rstrip(":") in keys) / 1000


def index(path: Path) -> dict[str, float]:
    """Open a manifest for the first time."""
    took = seconds(lambda: read_manifest(path))[1]
    return {"index_seconds": took, "index_peak_megabytes": megabytes("self", "status", "VmHWM")}


def use(path: Path) -> dict[str, float]:
    """All that a run does with a manifest."""
    figures = {}
    manifest, figures["open_seconds"] = seconds(lambda: read_manifest(path))
    places = np.random.default_rng(0).integers(0, len(manifest), 10_000).tolist()
    access = seconds(lambda: [manifest[i] for i in places])[1]
    figures["access_microseconds"] = access / len(places) * 1e6
    augments = {"speed": Speed(factors=[0.9, 1.0, 1.1])}
    data = TrainingData(
        SpeechDataset(manifest, Char(list(ALPHABET)), RATE, augments=augments), None,
        batch_seconds=100.0, max_utterances=64, sortagrad_epochs=1, accumulate=1,
        workers=WORKERS, worker_timeout=300.0,
    )  # fmt: skip
    data.plan(1)  # compiles, the first time ever
    ascending = seconds(lambda: data.plan(0))[1]
    plan, mixed = seconds(lambda: data.plan(1))
    figures |= {"updates": len(plan), "plan_seconds": max(ascending, mixed)}
    updates = data.updates(plan, max(0, len(plan) - UPDATES))
    figures["resume_seconds"] = seconds(partial(next, updates))[1]
    for _ in islice(updates, UPDATES // 2):
        pass
    children = [str(child.pid) for child in multiprocessing.active_children()]
    unshared = ("Private_Clean", "Private_Dirty")
    figures["worker_unshared"] = max(megabytes(c, "smaps_rollup", *unshared) for c in children)
    updates.close()
    del plan, updates
    figures |= check(path)
    return figures | {"peak_megabytes": megabytes("self", "status", "VmHWM")}


def check(path: Path) -> dict[str, float]:
    """Look through all transcripts, as before a run begins and before it goes on."""
    register_schemas()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", ["experiment=tones"])
    recognizer = build_recognizer(config, Char(list(ALPHABET)), [])
    manifest, place = read_manifest(path), path.with_suffix(".kept")
    both = [
        seconds(lambda: check_transcripts(manifest, recognizer, 1.0, lambda line: None, place))[1]
        for _ in range(2)
    ]
    return {"transcripts_seconds": both[0], "transcripts_again_seconds": both[1]}


STAGES = {"index": index, "use": use}


def measure(size: int, folder: Path) -> dict[str, float]:
    """All figures of a size; nothing is left on the disk."""
    path = folder / str(size) / "train.jsonl"
    path.parent.mkdir()
    synthesise(path, size)
    figures = {"size": size, "gigabytes": path.stat().st_size / 1e9}
    for stage in STAGES:  # a process of its own, as a run is
        command = [sys.executable, __file__, "--stage", stage, "--folder", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        figures |= json.loads(done.stdout)
    shutil.rmtree(path.parent)
    print({k: round(v, 4) for k, v in figures.items()})
    return figures


def write_table(rows: list[dict[str, float]], command: str) -> None:
    """The figures as Markdown."""
    machine = about()
    lines = [
        "# Ten million utterances", "",
        f"`{command}` on {machine['processor']} ({machine['cores']} cores), commit "
        f"{machine['commit']}, {machine['date']}.", "",
        "| | goal | " + " | ".join(f"{row['size']:,}" for row in rows) + " |",
        "| --- |" + " ---: |" * (1 + len(rows)),
    ]  # fmt: skip
    for name, (label, goal) in GOALS.items():
        shown = " | ".join(f"{row[name]:,.4g}" for row in rows)
        lines.append(f"| {label} | {'' if goal is None else f'<= {goal:g}'} | {shown} |")
    (ROOT / "benchmarks/results/manifest.md").write_text("\n".join(lines) + "\n")


def draw(rows: list[dict[str, float]]) -> None:
    """The curve from few to many."""
    sizes = [row["size"] for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axis, names, unit in (
        (axes[0], ("index_seconds", "open_seconds", "plan_seconds", "resume_seconds"), "seconds"),
        (axes[1], ("peak_megabytes", "worker_megabytes"), "MB"),
    ):
        for name in names:
            axis.plot(sizes, [max(row[name], 1e-4) for row in rows], "o-", label=GOALS[name][0])
        axis.set(xscale="log", yscale="log" if unit == "seconds" else "linear")
        axis.set(xlabel="utterances", ylabel=unit)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    (ROOT / "docs/images").mkdir(exist_ok=True)
    figure.savefig(ROOT / "docs/images/manifest.png", dpi=110)


def main() -> None:
    """Measure each size, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**n for n in (4, 5, 6, 7)])
    parser.add_argument("--folder", help="on a disk with room; by default that of temporary files")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](Path(arguments.folder))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = [measure(size, Path(folder)) for size in sorted(arguments.sizes)]
    for row in rows:
        row["worker_megabytes"] = row["worker_unshared"] - rows[0]["worker_unshared"]
    sizes = " ".join(map(str, arguments.sizes))
    write_result("manifest", sizes=[{k: round(v, 6) for k, v in row.items()} for row in rows])
    write_table(rows, f"python benchmarks/manifest.py --sizes {sizes}")
    if len(rows) > 1:
        draw(rows)


if __name__ == "__main__":
    main()
