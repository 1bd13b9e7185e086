"""A recipe with several seeds: error rates on its test set, greedy and with a language model.

    python benchmarks/seeds.py an4_deepspeech2 --jobs 2            # 5 seeds, two side by side
    python benchmarks/seeds.py an4_conformer --seeds 1 2 --report  # what is there

Each seed is trained by `python -m asr.train` with one thread; a run that was stopped goes on. The
beam's weights are tuned on the development set (`asr.tune`), then the test set is scored once
(`asr.evaluate`), greedy and beam. The language model is `asr.lm` of the training transcripts.
Writes results/seeds_RECIPE.json and .md: medians and ranges over seeds; the interval is the
bootstrap's, over speakers, of the seed that has the median (the lower one of two).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from machine import write_result

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


class Recipe(NamedTuple):
    """options: of asr.train. train: the transcripts. lm: options of asr.lm."""

    options: Sequence[str]
    train: str
    lm: Sequence[str] = ("order=4",)


RECIPES = {
    "an4_deepspeech2": Recipe(["experiment=an4"], "data/an4/train.jsonl"),
    "an4_conformer": Recipe(["experiment=an4", "model=conformer_tiny"], "data/an4/train.jsonl"),
}


def call(log: Path, command: str, *options: str) -> float:
    """Run a command of the program, its output behind `log`; minutes of a core that it took."""
    line = [sys.executable, "-m", f"asr.{command}", *options]
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(line, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{log}: failed, or was stopped:\npython {' '.join(line[1:])}")
    return (used.ru_utime + used.ru_stime) / 60


def learn_and_score(recipe: Recipe, lm: Path, seed: int, folder: Path) -> None:
    """One seed, to the end.

    Its folder then has a file `finished`: minutes of a core that training's last start took.
    """
    if (folder / "finished").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    log, here = folder / "log", ["device=cpu", "threads=1"]
    minutes = call(log, "train", *recipe.options, f"seed={seed}", f"runs={folder.parent}",
                   f"run={folder.name}", *here)  # fmt: skip
    best = f"checkpoint={folder / 'best.pt'}"
    call(log, "tune", best, f"decoder.lm={lm}", *here)
    call(log, "evaluate", best, f"decoder={folder / 'decoder' / 'tuned.yaml'}", *here)
    (folder / "finished").write_text(f"{minutes:.1f}\n", encoding="utf-8")
    print(f"{folder.name}: {read(folder)}", flush=True)


def read(folder: Path) -> dict[str, Any]:
    """What one seed came to: on the test set, each decoder's summary; on the way, the best WER."""
    summaries = [json.loads(path.read_text(encoding="utf-8"))
                 for path in sorted((folder / "evaluation").glob("*/summary.json"))]  # fmt: skip
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = {s["decoder"]: {k: s[k] for k in ("manifest", "wer", "wer_interval_95", "cer", "words")}
             for s in summaries}  # fmt: skip
    validations = [row["validation/wer"] for row in rows if "validation/wer" in row]
    return found | {"development_wer": min(validations), "updates": rows[-1]["step"]}


def table(seeds: dict[int, dict[str, Any]]) -> list[list[str]]:
    """A row for each decoder."""
    rows = []
    for decoder in ("greedy", "beam"):
        each = sorted((run[decoder]["wer"], seed) for seed, run in seeds.items() if decoder in run)
        if not each:
            continue
        wer, seed = each[(len(each) - 1) // 2]
        run = seeds[seed][decoder]
        low, high = run["wer_interval_95"]
        cers = [100 * found[decoder]["cer"] for found in seeds.values()]
        rows.append([
            decoder, run["manifest"], f"{100 * wer:.2f}", f"{100 * low:.2f} - {100 * high:.2f}",
            f"{100 * each[0][0]:.2f} - {100 * each[-1][0]:.2f}",
            ", ".join(f"{100 * seeds[s][decoder]['wer']:.2f}" for s in sorted(seeds)),
            f"{statistics.median(cers):.2f}",
        ])  # fmt: skip
    return rows


def page(name: str, recipe: Recipe, seeds: dict[int, dict[str, Any]], about: str) -> str:
    """The table in Markdown."""
    head = ["decoder", "test set", "median WER %", "its 95 % interval", "range over seeds",
            "by seed", "median CER %"]  # fmt: skip
    rows = [head, ["---"] * len(head), *table(seeds)]
    minutes = ", ".join(f"{run['minutes']:.0f}" for run in seeds.values())
    return "\n".join([
        f"# {name}, seeds {', '.join(map(str, seeds))}", "",
        f"`python benchmarks/seeds.py {name}`: `{' '.join(recipe.options)}`, `threads=1`; language",
        f"model `asr.lm text={recipe.train} {' '.join(recipe.lm)}`, weights tuned on the",
        f"development set. Minutes of a core for training: {minutes}.", "",
        *[f"| {' | '.join(row)} |" for row in rows], "", about, "",
    ])  # fmt: skip


def main() -> None:
    """Train, score, report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--jobs", type=int, default=1, help="seeds side by side, a core each")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "seeds")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args()
    recipe, runs = RECIPES[options.recipe], options.runs.resolve()
    folders = {seed: runs / f"{options.recipe}-{seed}" for seed in options.seeds}
    if not options.report:
        runs.mkdir(parents=True, exist_ok=True)
        lm = runs / f"{options.recipe}.arpa.gz"
        call(runs / "lm.log", "lm", f"text={recipe.train}", f"output={lm}", *recipe.lm)
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = [(recipe, lm, seed, folder) for seed, folder in folders.items()]
            list(pool.map(lambda job: learn_and_score(*job), jobs))
    done = {seed: folder for seed, folder in folders.items() if (folder / "finished").exists()}
    if not done:
        sys.exit(f"{runs}: no seed of {options.recipe} has come to its end")
    seeds = {seed: read(folder) | {"minutes": float((folder / "finished").read_text())}
             for seed, folder in done.items()}  # fmt: skip
    result = RESULTS / f"seeds_{options.recipe}.json"
    write_result(result.stem, options=recipe.options, lm=recipe.lm, seeds=seeds)
    about = json.loads(result.read_text(encoding="utf-8"))["machine"]
    text = page(options.recipe, recipe, seeds, ", ".join(f"{k} {v}" for k, v in about.items()))
    result.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
