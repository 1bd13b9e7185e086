"""Kill training runs at every bad moment, start them again, and hold their ends bit for bit.

    python scripts/torture.py                            # 120 kills, 100 ends; `make torture`
    python scripts/torture.py --kills 8 --runs 2         # half a minute
    python scripts/torture.py --record                   # writes benchmarks/results/torture.*

Each run is real: `python -m asr.train`, a process that gets SIGKILL, the same command again, and so
on to the end. A kill is aimed at one of four moments, seen from outside only: within a step, while
a checkpoint is being written (its temporary file has appeared), in a validation (its update's line
stands in metrics.jsonl, its own does not), at an epoch's end (its last line stands there, the next
epoch's first does not). What counts is where it hit, judged by what the dead process left behind;
more runs are killed until each kind has its number. Some runs are killed while they resume as well,
and stopped by SIGTERM; neither is counted. Ends with 1 if any end differs from the undisturbed run
of the same options, and says in what.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from killing import (  # noqa: E402
    ASKED,
    KINDS,
    RESUMING,
    SAVING,
    VALIDATION,
    Aim,
    Timeline,
    Watch,
    differences,
    finish,
    kill,
    kind_of,
    observe,
    start,
)
from machine import write_result  # noqa: E402
from support import command, tones_overrides  # noqa: E402

SEED = 7
EACH_UPDATE, SPARSE = "trainer.checkpoint_minutes=0", "trainer.checkpoint_minutes=1000"
WAV2LETTER = [
    *("model=wav2letter", "model.channels=[48,48,64]", "model.kernels=[11,11,1]"),
    *("model.strides=[3,1,1]", "spec_augment=mild"),
]
CONFORMER = [
    "model=conformer_tiny",
    "model.size=32",
    "model.layers=2",
    "model.stochastic_depth=0.2",
]
LARGER = ["data.batch_seconds=32", "data.max_utterances=16"]
KEPT = ["trainer.keep_last=3", "trainer.keep_best=2", "trainer.keep_every=4"]
AUGMENTED = ["augment=[speed,noise]", "spec_augment=mild"]
SETTINGS = {
    "workers, augmented, accumulated": [
        *("data.workers=2", *AUGMENTED, "data.accumulate=2", *LARGER, EACH_UPDATE),
        *("trainer.epochs=3", "trainer.validate_every=7", *KEPT),
    ],
    "few checkpoints, no averaging": [
        *("trainer.average_decay=0", SPARSE, "trainer.validate_every=6", *LARGER),
        "trainer.epochs=3",
    ],
    "plain": [EACH_UPDATE, "trainer.epochs=2"],
    "wav2letter": [*WAV2LETTER, *LARGER, EACH_UPDATE, "trainer.epochs=3"],
    "wav2letter, workers, accumulated, few checkpoints": [
        *(*WAV2LETTER, *LARGER, "data.workers=2", "data.accumulate=2", SPARSE),
        *("trainer.validate_every=4", "trainer.epochs=3"),
    ],
    "conformer, two views, muon, accumulated": [
        *(*CONFORMER, "objective=cr_ctc", "optimizer=muon", *AUGMENTED, "data.accumulate=2"),
        *(*LARGER, EACH_UPDATE, "trainer.validate_every=5", "trainer.epochs=3"),
    ],
    "two epochs in order, augmented": [
        *("data.sortagrad_epochs=2", *AUGMENTED, *LARGER, "trainer.epochs=4"),
        *("trainer.validate_every=3", EACH_UPDATE, *KEPT),
    ],
    "workers, augmented, few checkpoints": [
        *("data.workers=2", *AUGMENTED, SPARSE, "trainer.epochs=2"),
    ],
    "no order, no averaging, accumulated": [
        *("data.sortagrad_epochs=0", "trainer.average_decay=0", "data.accumulate=2", *LARGER),
        *("trainer.epochs=3", "trainer.validate_every=8", EACH_UPDATE),
    ],
}


@dataclass(frozen=True)
class Plan:
    """One run: its number, by which all of its chances are drawn, its options, its kills."""

    number: int
    setting: str
    kinds: tuple[str, ...]


@dataclass
class Outcome:
    """What became of a run. kills: what each hit, and how far the run had come, 0 to 1."""

    plan: Plan
    kills: list[tuple[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where runs are: the folder of all, that of the corpus, the seed of the torture."""

    folder: Path
    seed: int

    def options(self, setting: str, run: str) -> list[str]:
        """The command line of a run."""
        shared = ["experiment=tones", *tones_overrides(self.folder / "tones", self.folder)]
        return [*shared, *SETTINGS[setting], "trainer.log_every=1", f"run={run}"]

    def whole(self, setting: str) -> str:
        """The name of a setting's undisturbed run."""
        return f"whole-{list(SETTINGS).index(setting)}"

    def observe(self, setting: str) -> Timeline:
        """The undisturbed run of a setting."""
        run = self.whole(setting)
        return observe(self.folder / run, self.folder / f"{run}.log", *self.options(setting, run))

    def torture(self, plan: Plan, timeline: Timeline) -> Outcome:
        """Kill a run as planned, let it end, and compare."""
        run = f"killed-{plan.number}"
        folder, log = self.folder / run, self.folder / f"{run}.log"
        options, outcome = self.options(plan.setting, run), Outcome(plan)
        try:
            for aim in _aims(plan, timeline, self.seed):
                watch, process = Watch(folder), start(*options, log=log)
                if not kill(process, watch, aim, timeline):
                    if process.returncode != 0:
                        finish(process, log)  # says what is wrong
                    break
                kind = ASKED if aim.kind == ASKED else kind_of(watch, timeline)
                done = watch.records[-1][0] if watch.records else 0
                outcome.kills.append((kind, done / timeline.records[-1][0]))
            finish(start(*options, log=log), log)
            outcome.wrong = differences(self.folder / self.whole(plan.setting), folder)
            outcome.wrong += [
                line for line in log.read_text(encoding="utf-8").splitlines() if "warning" in line
            ]
        except (RuntimeError, ValueError) as error:  # it failed, or wrote what it should not
            outcome.wrong.append(str(error))
        if not outcome.wrong:
            shutil.rmtree(folder)
        return outcome


def _aims(plan: Plan, timeline: Timeline, seed: int) -> list[Aim]:
    """Moments of the kinds that are wanted, one after the other in the run."""
    rng = np.random.default_rng([seed, plan.number])
    aims: list[Aim] = []
    taken: set[int] = set()  # updates: a resumed run may not come to the same line again
    for kind in plan.kinds:
        places = [i for i in timeline.places(kind) if timeline.records[i][0] not in taken]
        if not places:
            continue
        place = int(rng.choice(places))
        taken.add(timeline.records[place][0])
        which = int(rng.integers(timeline.saves[place])) + 1 if kind == SAVING else 1
        aims.append(Aim(kind, place, rng.uniform(0, 0.9), which, bool(rng.integers(2))))
    if len(aims) > 4:  # a long chain: killed while it resumes; stopped in a validation as well,
        # which is made again, and killed when the state after it is saved
        aims.append(Aim(RESUMING, sorted(aim.place for aim in aims)[1], rng.uniform(0, 1)))
        # Not in the last one: what it saves would be among the last checkpoints that are kept.
        place = int(rng.choice(timeline.places(VALIDATION)[:-1]))
        aims.append(Aim(ASKED, place, rng.uniform(0, 0.9)))
        if timeline.saves[place + 1]:
            aims.append(Aim(SAVING, place + 1, rng.uniform(0, 0.9), timeline.saves[place + 1]))
    return sorted(aims, key=lambda aim: aim.place)


def plans(kills: int, runs: int) -> Iterator[Plan]:
    """Kills of all kinds in turn: one a run, and what is left over in long chains."""
    kinds = cycle(KINDS)
    settings = list(SETTINGS)
    left = kills
    for number in range(runs):
        later = runs - number - 1
        count = min(5, left - later) if left > later else 1
        left -= count
        yield Plan(number, settings[number % len(settings)], tuple(islice(kinds, count)))


def histogram(outcomes: Iterable[Outcome]) -> list[list[str]]:
    """Rows of a table: kind x tenth of the run, counts."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    rows = [["killed in", *(f"{10 * i}-{10 * i + 10} %" for i in range(10)), "all"]]
    for kind in (*KINDS, RESUMING, ASKED):
        tenths = [min(int(10 * share), 9) for name, share in kills if name == kind]
        counts = np.bincount(np.array(tenths, dtype=int), minlength=10)
        cells = [str(n) if n and kind != RESUMING else "" for n in counts]
        rows.append([kind, *cells, str(len(tenths))])
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table as plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def counted(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How often each kind was hit."""
    hits = [kind for outcome in outcomes for kind, _ in outcome.kills]
    return {kind: hits.count(kind) for kind in KINDS}


def torture(place: Place, kills: int, runs: int, each: int, jobs: int) -> list[Outcome]:
    """Observe, kill as planned, and go on until every kind has been hit `each` times."""
    with ProcessPoolExecutor(jobs) as pool:
        used = list(SETTINGS)[:runs]
        timelines = dict(zip(used, pool.map(place.observe, used), strict=True))
        for name, line in timelines.items():
            print(f"undisturbed {name}: {line.records[-1][0]} updates, {len(line.epoch_ends)} "
                  f"epochs, {sum(line.saves)} checkpoints, each "
                  f"{1000 * line.writing:.0f} ms on its way", flush=True)  # fmt: skip
        outcomes: list[Outcome] = []

        def run(batch: Sequence[Plan]) -> None:
            of = [timelines[plan.setting] for plan in batch]
            for outcome in pool.map(place.torture, batch, of):
                outcomes.append(outcome)
                hits = ", ".join(f"{kind} {share:.0%}" for kind, share in outcome.kills)
                end = "DIFFERS" if outcome.wrong else "identical"
                name = f"run {outcome.plan.number} ({outcome.plan.setting})"
                print(f"{name} killed in {hits}: {end}", *outcome.wrong, sep="\n    ", flush=True)

        run(list(plans(kills, runs)))
        for _ in range(10):  # what did not hit what it was aimed at
            found = counted(outcomes)
            lacking = [kind for kind in KINDS for _ in range(each - found[kind])]
            more = kills - sum(found.values()) - len(lacking)
            lacking += islice(cycle(KINDS), max(more, 0))
            if not lacking:
                break
            first = len(outcomes)
            run([Plan(first + i, used[(first + i) % len(used)], (kind,))
                 for i, kind in enumerate(lacking)])  # fmt: skip
    return outcomes


def report(outcomes: list[Outcome], seed: int, seconds: float, record: bool) -> bool:
    """Print what came out; whether all ends are right."""
    rows, found = histogram(outcomes), counted(outcomes)
    good = sum(not outcome.wrong for outcome in outcomes)
    print(f"\n{aligned(rows)}\n")
    summary = (
        f"{sum(found.values())} kills after the first update, {len(outcomes)} runs, {good} ends "
        f"bit-identical, {len(outcomes) - good} not; seed {seed}, run n by [{seed}, n]; "
        f"{seconds / 60:.1f} minutes"
    )
    print(summary)
    if record:
        write_result(
            "torture",
            kills=found,
            resuming=sum(kind == RESUMING for o in outcomes for kind, _ in o.kills),
            stopped=sum(kind == ASKED for o in outcomes for kind, _ in o.kills),
            runs=len(outcomes),
            identical=good,
            seed=seed,
            seconds=round(seconds, 1),
            settings=SETTINGS,
            runs_killed=[[o.plan.setting, [[k, round(s, 3)] for k, s in o.kills]]
                         for o in outcomes],
        )  # fmt: skip
        _write_page(rows, summary)
    return good == len(outcomes)


def _write_page(rows: list[list[str]], summary: str) -> None:
    """`benchmarks/results/torture.md`, for people."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
    settings = [f"- {name}: `{' '.join(options)}`" for name, options in SETTINGS.items()]
    text = "\n".join(
        [
            "# Runs that were killed",
            "",
            "`make torture`: SIGKILL at the moments below, the same command again, and the end",
            "held bit for bit against the undisturbed run: all checkpoints, metrics.jsonl,",
            "TensorBoard. Above the counts stands how far a run had come. Not counted are kills",
            "before the first update of a process that resumes, and stops by SIGTERM.",
            "",
            *lines,
            "",
            f"{summary}.",
            "",
            "Options, beside those of `experiment=tones`, one thread on the CPU:",
            "",
            *settings,
        ]
    )
    path = ROOT / "benchmarks" / "results" / "torture.md"
    path.write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Torture; 1 if an end differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=120, help="after the first update, at least")
    parser.add_argument("--runs", type=int, default=100, help="that they are spread over")
    parser.add_argument("--each", type=int, help="kills of each kind, at least (kills / 6)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--folder", type=Path, help="where runs are kept; absent: nowhere")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/torture.*")
    args = parser.parse_args(arguments)
    if not args.runs <= args.kills <= 5 * args.runs:
        parser.error(f"--kills {args.kills} must be 1 to 5 times --runs {args.runs}")
    each = args.kills // 6 if args.each is None else args.each
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        place = Place((args.folder or Path(scratch)).resolve(), args.seed)
        print(f"seed {args.seed}, {args.kills} kills over {args.runs} runs, in {place.folder}")
        done = command("prepare", "corpus=tones", f"folder={place.folder}")
        if done.returncode:
            print(done.stderr)
            return 1
        outcomes = torture(place, args.kills, args.runs, each, args.jobs)
    good = report(outcomes, args.seed, time.monotonic() - began, args.record)
    found = counted(outcomes)
    if sum(found.values()) < args.kills or min(found.values()) < each:
        print("fewer kills than wanted: runs ended, or did something else, before they were hit")
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
