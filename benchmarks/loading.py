"""Does loading keep up with the decoder, and does its memory stay where it is?

    python benchmarks/loading.py                      # about 6 minutes on two cores
    python benchmarks/loading.py --utterances 12 --hours 0.1

Real speech from ../shared/data/LibriSpeech, written anew as wav, flac, opus and mp3 in a temporary
folder. Rates are seconds of audio a CPU second, each the best of several rounds that take turns:
`bare` is soundfile reading each file whole; the others are the program's own loader in this
process, up to padded batches. Writes `benchmarks/results/loading.json` and `loading.md`.
"""

import argparse
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import soundfile
import torch
from machine import about, write_result

from asr.augment.gain import Gain
from asr.augment.noise import Noise
from asr.augment.speed import Speed
from asr.corpus.manifest import Manifest, Utterance, read_manifest, write_manifest
from asr.corpus.packing import pack
from asr.data.batch import Batch
from asr.data.dataset import Draw, SpeechDataset
from asr.data.loader import evaluation_plan, load_batches
from asr.tokenizer.char import Char

SPEECH = Path(__file__).parents[2] / "shared/data/LibriSpeech"
FORMATS = {
    "wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
AUGMENTS = {
    "speed": Speed(factors=[0.9, 1.0, 1.1]),
    "noise": Noise(probability=0.5, snr_low_db=5.0, snr_high_db=20.0),
    "gain": Gain(low_db=-6.0, high_db=6.0),
}
BATCH = {"batch_seconds": 200.0, "max_utterances": 32}


def written(kind: str, folder: Path, count: int) -> Manifest:
    """Real utterances in one format, and their manifest."""
    form, subtype = FORMATS[kind]
    utterances = []
    for path in sorted(SPEECH.rglob("*.flac"))[:count]:
        samples, rate = soundfile.read(path, dtype="int16")
        target = folder / kind / f"{path.stem}.{kind}"
        target.parent.mkdir(exist_ok=True)
        soundfile.write(target, samples, rate, format=form, subtype=subtype)
        seconds = soundfile.info(target).duration
        utterances.append(Utterance(path.stem, str(target), seconds, "what was said " * 8))
    write_manifest(folder / kind / "train.jsonl", utterances)
    return read_manifest(folder / kind / "train.jsonl")


def loading(manifest: Manifest, **options: Any) -> tuple[SpeechDataset, list[list[Draw]]]:
    """A dataset and the plan of an epoch."""
    dataset = SpeechDataset(manifest, Char(list("abcdefghijklmnopqrstuvwxyz ")), 16000, **options)
    return dataset, list(evaluation_plan(dataset, **BATCH))


def heard(dataset: SpeechDataset, plan: list[list[Draw]]) -> float:
    """Seconds of audio, changes of speed included."""
    seconds = dataset.manifest.durations
    return sum(math.prod(d.stretches) * float(seconds[d.index]) for b in plan for d in b)


def best(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least CPU seconds that each took; they take turns, so that all meet the same noise."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            work()
            found[name] = min(found[name], time.process_time() - began)
    return found


def rates(manifest: Manifest, folder: Path, rounds: int) -> dict[str, Any]:
    """Audio seconds a CPU second of the decoder alone, and of the loader."""
    packed = pack(manifest, "train", folder, shard_bytes=10**8, skip=False, workers=1)
    sources = {
        "loader": loading(manifest),
        "shards": loading(read_manifest(packed.path)),
        "augmented": loading(manifest, augments=AUGMENTS),
    }
    works: dict[str, Callable[[], Any]] = {
        "bare": lambda: [len(soundfile.read(u.audio, dtype="float32")[0]) for u in manifest]
    }
    for name, (dataset, plan) in sources.items():
        works[name] = lambda d=dataset, p=plan: consume(load_batches(d, p, 0))
    seconds = best(works, rounds)
    total = float(manifest.durations.sum())
    figures = {name: round(total / taken) for name, taken in seconds.items()}
    share = {f"{n}_of_bare": round(seconds["bare"] / seconds[n], 3) for n in sources}
    return figures | share


def consume(batches: Iterator[Batch], pause: float = 0.0) -> None:
    """Take batches, each for `pause` seconds, as a step on a GPU would."""
    for _ in batches:
        time.sleep(pause)


def wall(dataset: SpeechDataset, plan: list[list[Draw]], workers: int, pause: float = 0.0) -> float:
    """Seconds between the first batch and the last."""
    batches = load_batches(dataset, plan, workers)
    next(batches)
    began = time.perf_counter()
    consume(batches, pause)
    return time.perf_counter() - began


def scaling(manifest: Manifest) -> dict[str, Any]:
    """Loader processes, and what reading ahead gains where a step takes as long as a batch."""
    dataset, plan = loading(manifest, augments=AUGMENTS)
    plan = plan * 3
    audio = heard(dataset, plan[1:])
    alone = wall(dataset, plan, 0)
    pause = alone / (len(plan) - 1)
    figures: dict[str, Any] = {"audio_seconds_a_second": {"0": round(audio / alone)}}
    for workers in (1, 2):
        figures["audio_seconds_a_second"][str(workers)] = round(
            audio / wall(dataset, plan, workers)
        )
    ahead = {str(n): round(wall(dataset, plan, n, pause), 2) for n in (0, 1, 2)}
    return figures | {"seconds_with_a_step_as_long_as_a_batch": ahead}


def memory(manifest: Manifest, hours: float) -> dict[str, Any]:
    """Megabytes of this process and of two workers, from the first tenth of the hours on."""
    dataset, plan = loading(manifest, augments=AUGMENTS)
    plan = plan * max(1, round(hours * 36000 / manifest.durations.sum()) // 10)
    every = max(1, len(plan) // 10)
    samples = []
    for number, _ in enumerate(load_batches(dataset, plan, 2), start=1):
        if number % every == 0:
            children = [p.pid for p in multiprocessing.active_children() if p.pid]
            samples.append([resident(pid) for pid in (os.getpid(), *children)])
    return {"hours": round(heard(dataset, plan) / 3600, 2), "main_and_workers_mb": samples[:10]}


def resident(pid: int) -> int:
    """Megabytes that a process alone holds, and its share of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) >> 10


def cold(manifest: Manifest, packed: Manifest, rounds: int) -> dict[str, float]:
    """Seconds to read all from the disk, when nothing of it is in memory; on this disk."""
    found = {"files": float("inf"), "shards": float("inf")}
    for _ in range(rounds):
        for name, source in (("files", manifest), ("shards", packed)):
            for path in {u.audio.partition("#")[0] for u in source}:
                with Path(path).open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            dataset, plan = loading(source)
            began = time.perf_counter()
            consume(load_batches(dataset, plan, 0))
            found[name] = min(found[name], time.perf_counter() - began)
    return {name: round(seconds, 3) for name, seconds in found.items()}


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    of = about()
    text = (
        "# Loading\n\n`python benchmarks/loading.py`, one core of "
        f"{of['processor']}, {of['date']}, commit {of['commit']}. Seconds of audio a CPU second "
        "(best of the rounds), and the share of the bare decoder's rate.\n\n"
        "| format | bare decoder | loader | from shards | with speed, noise and gain |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    for kind in FORMATS:
        row = figures["formats"][kind]
        cells = [f"{row[n]} ({row[f'{n}_of_bare']:.0%})" for n in ("loader", "shards", "augmented")]
        text += f"| {kind} | {row['bare']} | {' | '.join(cells)} |\n"
    scale, kept = figures["flac_workers"], figures["memory"]
    text += (
        "\nSeconds of audio a second with 0, 1, 2 loader processes (flac, augmented): "
        f"{list(scale['audio_seconds_a_second'].values())}. Where a step takes as long as loading "
        "a batch, the same batches take, in seconds, with 0, 1, 2 processes: "
        f"{list(scale['seconds_with_a_step_as_long_as_a_batch'].values())}.\n\n"
        f"Memory over {kept['hours']} hours of batches, MB of the main process and two workers at "
        f"each tenth: {kept['main_and_workers_mb']}.\n\n"
        f"Seconds to read everything (flac) when nothing is cached: {figures['cold_seconds']}.\n"
    )
    return text


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--utterances", type=int, default=60, help="of each format")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=1.0, help="of batches, for memory")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {kind: written(kind, folder, options.utterances) for kind in FORMATS}
        formats = {
            kind: rates(source, folder / f"{kind}-packed", options.rounds)
            for kind, source in sources.items()
        }
        packed = read_manifest(folder / "flac-packed" / "train.jsonl")
        figures = {
            "formats": formats,
            "flac_workers": scaling(sources["flac"]),
            "memory": memory(sources["wav"], options.hours),
            "cold_seconds": cold(sources["flac"], packed, 3),
        }
    write_result("loading", **figures)
    (Path(__file__).parent / "results" / "loading.md").write_text(table(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
