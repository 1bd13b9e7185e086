"""How fast and how good are our decoder and its peers? One run, one thread each, warm.

    .venv/bin/python benchmarks/decoding/run.py [--retune [NAME...]] [--only NAME...]

Settings come from the first 100 utterances (`tune.py`; kept in `tuned/`): of each decoder the
fastest within 0.2 points of the best tuning WER of all; of one that has none, the fastest within
0.2 points of its own best. The eight that the record calls fastest are timed anew, in turn; of
those within 3 % of the fastest, which no clock here tells apart, the one with the best tuning WER
is taken. Ours is measured a second time for each peer, with its fastest settings that were no
worse than that peer's. All are then timed and scored on the other 100, in turn, a few rounds; of
each utterance the median counts. Writes `benchmarks/results/decoding.json` and `decoding.md`.
"""

import argparse
import json
import os
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
from page import ours_as, page, versions
from tune import DECODERS, PEERS, Settings, Try, Worker, keep, kept, tune, word_counts

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.interval import paired_interval

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import write_result

TOLERANCE = 0.002  # of the best tuning WER
CANDIDATES, ROUNDS = 8, 5
SAME_SPEED = 1.03  # clocks do not tell closer speeds apart


def in_turn(
    jobs: dict[Hashable, tuple[Worker, Settings]], first: int, rounds: int
) -> dict[Any, tuple[list[str], np.ndarray]]:
    """Decode 100 utterances with each job, one job after the other, `rounds` times.

    Returns:
        Of each job its texts and the utterances' median seconds.
    """
    texts, seconds = {}, {key: [] for key in jobs}
    for _ in range(rounds):
        for key, (worker, settings) in jobs.items():
            reply = worker(settings, first, first + 100)
            texts[key] = reply["texts"]
            seconds[key].append(reply["seconds"])
    return {key: (texts[key], np.median(seconds[key], axis=0)) for key in jobs}


def fastest(worker: Worker, tries: list[Try], limit: float) -> Try | None:
    """Of the tries whose WER is within a limit the fastest, as timed now; of equals the best."""
    near = sorted((t for t in tries if t["wer"] <= limit), key=lambda t: t["seconds"])
    found = dict(enumerate(near[:CANDIDATES]))
    timed = in_turn({i: (worker, t["settings"]) for i, t in found.items()}, 0, 3)
    spent = {i: seconds.sum() for i, (_, seconds) in timed.items()}
    same = [found[i] for i in spent if spent[i] <= SAME_SPEED * min(spent.values())]
    return min(same, key=lambda t: (t["wer"], t["seconds"])) if same else None


def chosen(tries: dict[str, list[Try]], workers: dict[str, Worker]) -> dict[str, Try]:
    """The tries to measure; `as_good`: within the tolerance of the best of all."""
    own = {name: min(t["wer"] for t in tries[name]) for name in tries}
    best, found = min(own.values()), {}
    for name in tries:
        as_good = own[name] <= best + TOLERANCE
        limit = (best if as_good else own[name]) + TOLERANCE
        more = {"as_good": as_good, "best_tuning_wer": own[name], "tries": len(tries[name])}
        found[name] = fastest(workers[name], tries[name], limit) | more
    for name in [name for name in PEERS if name in tries and "ours" in tries]:
        if one := fastest(workers["ours"], tries["ours"], found[name]["wer"]):
            found[ours_as(name)] = found["ours"] | one
    return found


def two_threads(settings: Settings, rate: float) -> float:
    """How much faster a batch of at least two seconds' work is with two threads than with one."""
    copies = max(1, round(2 * rate / 100))
    workers = [Worker("ours", threads) for threads in ("1", "2")]
    seconds = [
        [worker(settings, 100, 200, copies=copies)["seconds"] for worker in workers]
        for _ in range(ROUNDS)
    ]
    for worker in workers:
        worker.close()
    one, two = np.median(seconds, axis=0)
    return round(float(one / two), 3)


def measured(names: list[str]) -> tuple[list[dict[str, Any]], dict[str, list[ErrorCounts]]]:
    """A row of figures for each setting of each decoder, and the errors of each utterance."""
    workers = {name: Worker(name) for name in [*names, "greedy"]}
    choice = chosen({name: kept(name) for name in names}, workers)
    jobs = {key: (workers[key.split(",")[0]], one["settings"]) for key, one in choice.items()}
    found = in_turn(jobs | {"greedy": (workers["greedy"], {})}, 100, ROUNDS)
    for worker in workers.values():
        worker.close()
    rows, counts = [], {}
    for key, (texts, seconds) in found.items():
        counts[key] = word_counts(texts, 100)
        total = sum(counts[key], ErrorCounts(0, 0, 0, 0))
        one = choice.get(key, {})
        rows.append({
            "decoder": key, "utterances_per_second": round(100 / float(seconds.sum()), 2),
            "wer": round(total.rate, 5), "words": total.kaldi(),
            "tuning_wer": one.get("wer"), "best_tuning_wer": one.get("best_tuning_wer"),
            "as_good": one.get("as_good"), "tries": one.get("tries"),
            "settings": one.get("settings", {}),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows, counts


def summary(rows: list[dict[str, Any]], counts: dict[str, list[ErrorCounts]]) -> dict[str, Any]:
    """Ours beside the others, in a few numbers."""
    row = {one["decoder"]: one for one in rows}
    rate = {name: one["utterances_per_second"] for name, one in row.items()}
    peers = [name for name in PEERS if name in row]
    best = min(peers, key=lambda name: row[name]["wer"])
    return {
        "speed_ratios": {name: round(rate["ours"] / rate[name], 2) for name in peers},
        "speed_ratios_at_their_wer": {
            name: round(rate[ours_as(name)] / rate[name], 2)
            for name in peers
            if ours_as(name) in rate
        },
        "best_peer": best,
        "wer_difference": round(row["ours"]["wer"] - row[best]["wer"], 5),
        "wer_difference_interval_95": paired_interval(counts[best], counts["ours"], samples=10_000),
        "two_threads_speed_up": two_threads(row["ours"]["settings"], rate["ours"]),
        "peers": versions(),
    }  # fmt: skip


def main() -> None:
    """Tune where needed, choose, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--retune", nargs="*", metavar="NAME", choices=DECODERS)
    parser.add_argument("--only", nargs="+", default=DECODERS, choices=DECODERS)
    asked = parser.parse_args()
    again = DECODERS if asked.retune == [] else asked.retune or []
    for name in asked.only:
        if name in again or not kept(name):
            keep(name, tune(name, []))
    load = round(os.getloadavg()[0], 2)
    rows, counts = measured(asked.only)
    if "ours" not in asked.only or len(asked.only) == 1:
        return
    figures = {"decoders": rows, "load_before": load} | summary(rows, counts)
    write_result("decoding", **figures)
    results = Path(__file__).parents[1] / "results"
    written = json.loads((results / "decoding.json").read_text(encoding="utf-8"))
    (results / "decoding.md").write_text(page(written), encoding="utf-8")


if __name__ == "__main__":
    main()
