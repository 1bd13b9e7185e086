"""Where and on what a measurement was made; written beside each figure."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch


def write_result(name: str, **figures: Any) -> None:
    """Print figures and write them to `benchmarks/results/<name>.json` with machine and commit."""
    folder = Path(__file__).parent / "results"
    text = json.dumps(figures | {"machine": about()}, indent=1)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def about() -> dict[str, Any]:
    """This machine, its versions, this commit and today."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(li.split(":")[1].strip() for li in lines if li.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()
