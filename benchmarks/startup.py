"""How long until a command answers, and until a run has made its first update?

    python benchmarks/startup.py

Seconds of wall time from giving a command, each beside `python -c pass` and `import torch` of the
same round; the median of several rounds. The run is a fresh one of `experiment=tones`, once with
numba's compiled kernels kept from before and once with none; its first update is over when its
line is on the terminal. Writes `benchmarks/results/startup.json` and `.md`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import about, write_result

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("ROUNDS", "5"))
GOALS = {"train --help": 1.0, "train modle=x": 1.0, "train trainer.epoch=3": 1.0,
         "first update, kernels kept": 6.0}  # fmt: skip


def ends(*arguments: str) -> float:
    """Seconds until a Python process ends, whatever it says."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=HERE.parent, capture_output=True, check=False)
    return time.perf_counter() - began


def first_update(data: Path, kernels: Path | None) -> float:
    """Seconds until a fresh run has made an update.

    kernels: an empty folder for numba's; None: those of the program.
    """
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(kernels)} if kernels else {})
    with tempfile.TemporaryDirectory() as runs:
        options = [f"data.{s}=[{data / f'tones/{s}.jsonl'}]" for s in ("train", "dev")]
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "asr.train", "experiment=tones", *options,
             f"runs={runs}", "device=cpu", "trainer.log_every=1"],
            cwd=HERE.parent, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as run:  # fmt: skip
            assert run.stdout is not None
            said = []
            for line in run.stdout:
                said.append(line)
                if line.startswith("train epoch=1/"):
                    seconds = time.perf_counter() - began
                    run.kill()
                    return seconds
    raise RuntimeError("".join(said))


def main() -> None:
    """Take turns, so that what else the machine does meets all of them."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        ends("-m", "asr.prepare", "corpus=tones", f"folder={data}")
        first_update(data, None)  # kernels are kept from here on

        def cold() -> float:
            with tempfile.TemporaryDirectory() as kernels:
                return first_update(data, Path(kernels))

        measured: dict[str, Callable[[], float]] = {
            "python -c pass": lambda: ends("-c", "pass"),
            'python -c "import torch"': lambda: ends("-c", "import torch"),
            'python -c "import torch._dynamo"': lambda: ends("-c", "import torch._dynamo"),
            **{f"{name} --help": lambda name=name: ends("-m", f"asr.{name}", "--help")
               for name in ("prepare", "check", "train", "evaluate", "transcribe")},
            "train modle=x": lambda: ends("-m", "asr.train", "modle=x"),
            "train trainer.epoch=3": lambda: ends("-m", "asr.train", "trainer.epoch=3"),
            "first update, kernels kept": lambda: first_update(data, None),
            "first update, no kernels kept": cold,
        }  # fmt: skip
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(ROUNDS):
            for name, measure in measured.items():
                seconds[name].append(measure())
    medians = {name: round(statistics.median(times), 2) for name, times in seconds.items()}
    write_result("startup", rounds=ROUNDS, seconds=medians, goals=GOALS)
    here = about()
    lines = [
        "# Until a command answers",
        "",
        f"`python benchmarks/startup.py`: seconds of wall time, the median of {ROUNDS} rounds. The "
        "first update is that of a fresh run of `experiment=tones`, when its line is on the "
        f"terminal. {here['processor']}, {here['cores']} cores, Python {here['python']}, torch "
        f"{here['torch']}, commit {here['commit']}, {here['date']}.",
        "",
        "| | seconds | from | to | goal |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(f"| {name} | {median:.2f} | {min(seconds[name]):.2f} | {max(seconds[name]):.2f} | "
          f"{GOALS.get(name, '')} |" for name, median in medians.items()),
    ]  # fmt: skip
    (HERE / "results" / "startup.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
