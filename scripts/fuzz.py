"""Feed damaged and hostile files to what reads manifests, audio and checkpoints.

    python scripts/fuzz.py --count 100000 --seed 1          # about 10 minutes on two busy cores

An input may be read, or refused with a ValueError. Any other end is a fault: another exception, a
crash of a library, more than --seconds, more than --megabytes of new memory. The input of a fault
is kept under --keep, named by its kind, its fault and its number. Inputs are a function of the
seed and their number, so that a run can be repeated. Exits with 1 if there was a fault.

`--self-test` plants one fault of each kind and shows that each is found.
"""

import argparse
import json
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
from fuzz_inputs import RAWS, good_files, maker
from numpy.random import Generator

_WORTH_A_PROCESS = 2000  # inputs: its imports take seconds

Read = Callable[[Path, Generator], None]


# --- what is read, in a process of its own ------------------------------------------------------


def read_one_manifest(path: Path, rng: Generator) -> None:
    """What can be read can be written, and is then the same."""
    from asr.corpus import manifest
    from asr.corpus.manifest import read_manifest, write_manifest

    manifest._INDEXED_BYTES = int(rng.choice([-1, 1 << 24]))  # else none is large enough
    utterances = list(read_manifest(path, root=path.parent if rng.random() < 0.5 else None))
    again = path.with_suffix(".again")
    write_manifest(again, utterances)
    try:
        found = list(read_manifest(again))
    except ValueError as error:
        raise AssertionError("what was written cannot be read") from error
    assert [(u.id, u.text, u.speaker, u.raw) for u in found] == [
        (u.id, u.text, u.speaker, u.raw) for u in utterances
    ]


def read_one_audio(path: Path, rng: Generator) -> None:
    """The header, and a waveform or a slice of it at a rate of its own or another."""
    from asr.core.audio import MAX_SECONDS, audio_info, load_waveform

    raw = RAWS[int(rng.integers(len(RAWS)))]
    offset, duration = ((0.0, None), (0.1, 0.1), (0.0, 1e9))[int(rng.integers(3))]
    info = audio_info(path, raw)
    assert info.duration > 0
    waveform = load_waveform(path, 16000, offset=offset, duration=duration, raw=raw)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert np.isfinite(waveform).all() and 0 < len(waveform) <= MAX_SECONDS * 16000 + 1


def read_one_checkpoint(path: Path, _: Generator) -> None:
    """What can be read is plain, and a program that looks at all of it comes to an end."""
    from asr.core.checkpoint import load_checkpoint

    str(load_checkpoint(path)["config"])


def fail_as_planted(path: Path, _: Generator) -> None:
    """What `--self-test` reads: the number of the input decides."""
    number = int(path.read_bytes())
    if number % 10 == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif number % 10 == 2:
        time.sleep(1000)
    elif number % 10 == 3:
        np.ones(10**7)
    elif number % 10 == 4:
        raise KeyError("planted")
    elif number % 10 == 5:
        raise ValueError("planted")


READERS: dict[str, Read] = {
    "manifest": read_one_manifest,
    "audio": read_one_audio,
    "checkpoint": read_one_checkpoint,
    "planted": fail_as_planted,
}


def work(kind: str, seed: int, numbers: range, place: Path, megabytes: float) -> None:
    """Make and read inputs; a line of JSON for each says how it ended."""
    warnings.simplefilter("error", RuntimeWarning)
    answers = os.fdopen(os.dup(1), "w")
    for number in (1, 2):  # libraries write there
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    read, good = READERS[kind], good_files(kind)
    for content in good:  # what this imports counts for no input
        place.write_bytes(content)
        attempt(read, place, np.random.default_rng(0))
    make = maker(kind, good)
    most = memory("VmSize") + 2**31
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    answer(answers, ready=True)
    for number in numbers:
        rng = np.random.default_rng([seed, list(READERS).index(kind), number])
        place.write_bytes(make(rng) or b"%d" % number)
        before = forget_peak()
        outcome = attempt(read, place, rng)
        grown = (memory("VmHWM") - before) / 2**20
        if grown > megabytes and outcome in ("read", "refused"):
            outcome = f"took {grown:.0f} MB"
        if outcome not in ("read", "refused"):
            shutil.copyfile(place, place.with_suffix(f".{number}"))
        answer(answers, number=number, outcome=outcome, grown=round(grown, 1))


def attempt(read: Read, place: Path, rng: Generator) -> str:
    """How reading an input ended."""
    try:
        read(place, rng)
    except ValueError as error:
        text = str(error)
        if re.search(r"MemoryError|can't allocate memory|Unable to allocate", text):
            return f"memory: {text[:200]}"
        return "refused"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return f"{type(error).__name__} in {where}: {str(error)[:200]}"
    return "read"


def answer(answers: TextIO, **what: Any) -> None:
    """Tell the process that watches."""
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def memory(what: str) -> int:
    """Bytes that this process holds (VmRSS), held at most (VmHWM) or has asked for (VmSize)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{what}:")[2].split()[0])


def forget_peak() -> int:
    """Begin to measure VmHWM anew, and say from where."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


# --- watching -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What happened so far, to inputs of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, str]] = field(default_factory=list)
    megabytes: float = 0.0


class Watch:
    """Lets workers read, and replaces one that crashes or does not come to an end."""

    def __init__(self, options: argparse.Namespace, folder: Path, advance: Any) -> None:
        self.options, self.folder, self.advance = options, folder, advance
        self.tallies = {kind: Tally() for kind in options.kinds}
        self.lock = threading.Lock()

    def over(self, kind: str, numbers: range) -> None:
        """See inputs through, whatever happens to those who read them."""
        while numbers:
            numbers = range(self._until_one_fails(kind, numbers), numbers.stop)

    def _until_one_fails(self, kind: str, numbers: range) -> int:
        """Run one worker; the number of the first input that is still to be read."""
        place = self.folder / f"{kind}-{numbers.start}"
        command = [sys.executable, __file__, "--work", kind, str(place)]
        command += ["--numbers", str(numbers.start), str(numbers.stop)]
        command += ["--seed", str(self.options.seed), "--megabytes", str(self.options.megabytes)]
        done = numbers.start
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in lines_within(process.stdout, 300.0, self.options.seconds):
                if line is None:
                    process.kill()
                    how = f"took more than {self.options.seconds:g} s"
                    self._note(kind, done, how, place, 0.0)
                    return done + 1
                found = json.loads(line)
                if "ready" not in found:
                    self._note(kind, done, found["outcome"], place, found["grown"])
                    done += 1
        if done < numbers.stop:
            code = process.returncode
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._note(kind, done, f"crash: {how}", place, 0.0)
            done += 1
        return done

    def _note(self, kind: str, number: int, outcome: str, place: Path, grown: float) -> None:
        good = outcome in ("read", "refused")
        with self.lock:
            tally = self.tallies[kind]
            tally.outcomes[outcome if good else "fault"] += 1
            tally.megabytes = max(tally.megabytes, grown)
            self.advance(1)
            if good:
                return
            keep = Path(self.options.keep)
            keep.mkdir(parents=True, exist_ok=True)
            word = re.sub(r"\W+", "-", outcome)[:40].strip("-")
            name = keep / f"{kind}-{word}-{self.options.seed}-{number}"
            shutil.copyfile(
                kept if (kept := place.with_suffix(f".{number}")).exists() else place, name
            )
            tally.faults.append({"input": name.name, "fault": outcome})


def lines_within(stream: IO[bytes], first: float, others: float) -> Iterator[bytes | None]:
    """The lines of a stream; None and the end if one does not come within so many seconds."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        rest, seconds = b"", first
        while True:
            if not selector.select(seconds):
                yield None
                return
            block = os.read(stream.fileno(), 1 << 16)
            if not block:
                return
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            seconds = others if lines else seconds


def main() -> int:
    """Read the options, let workers read, and say what happened."""
    options = parsed()
    if options.work:
        work(options.work[0], options.seed, range(*options.numbers), Path(options.work[1]),
             options.megabytes)  # fmt: skip
        return 0
    from asr.core.progress import progress_bar  # imports torch, which not every worker needs

    began = time.monotonic()
    shares = {
        kind: (options.count + i) // len(options.kinds) for i, kind in enumerate(options.kinds)
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar("inputs", options.count) as advance,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        watch = Watch(options, Path(folder), advance)
        parts = []
        for kind, share in shares.items():
            ways = min(options.jobs, 1 + share // _WORTH_A_PROCESS)
            cuts = [share * i // ways for i in range(ways + 1)]
            parts += [(kind, range(a, b)) for a, b in pairwise(cuts)]
        for ended in [pool.submit(watch.over, *part) for part in parts]:
            ended.result()
    return told(options, watch.tallies, time.monotonic() - began)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--count", type=int, default=3000, help="inputs in all")
    add("--seed", type=int, default=1)
    add("--kinds", nargs="+", choices=READERS, default=list(READERS)[:3])
    add("--jobs", type=int, default=2, help="processes at once")
    add("--seconds", type=float, default=10.0, help="that one input may take")
    add("--megabytes", type=float, default=256.0, help="of memory that one input may take")
    add("--keep", default="fuzz-faults", help="where inputs of faults are kept")
    add("--output", help="a JSON file for the figures")
    add("--self-test", action="store_true", help="find planted faults")
    add("--work", nargs=2, help=argparse.SUPPRESS)
    add("--numbers", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.self_test:
        options.kinds, options.count, options.megabytes = ["planted"], 10, 50.0
    return options


def told(options: argparse.Namespace, tallies: dict[str, Tally], seconds: float) -> int:
    """Print and write the figures; the exit code."""
    faults = 0
    for kind, tally in tallies.items():
        counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(tally.outcomes.items()))
        print(f"{kind:<11}{sum(tally.outcomes.values())} inputs: {counts}; at most "
              f"{tally.megabytes:.1f} MB for one")  # fmt: skip
        for fault in tally.faults:
            print(f"  {options.keep}/{fault['input']}: {fault['fault']}")
        faults += len(tally.faults)
    count = sum(sum(tally.outcomes.values()) for tally in tallies.values())
    print(f"{count} inputs in {seconds:.1f} s, seed {options.seed}: {faults} faults")
    if options.output:
        figures = {
            "inputs": count,
            "seconds": round(seconds, 1),
            "seed": options.seed,
            "date": time.strftime("%Y-%m-%d"),
            "faults": faults,
            "processes": options.jobs,
            "limits": {"seconds": options.seconds, "megabytes": options.megabytes},
            "kinds": {
                kind: dict(sorted(t.outcomes.items())) | {"peak_megabytes": t.megabytes}
                for kind, t in tallies.items()
            },
        }
        Path(options.output).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
