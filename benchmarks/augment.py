"""What does each augmentation cost, beside decoding the utterance from FLAC?

    python benchmarks/augment.py [utterances, 200 unless said]

Utterances of ../shared/data/LibriSpeech, read by the dataset that training uses, in one thread:
without augmentation, and with each one at its shipped options but on every utterance. Ways take
turns on the same utterance; the figure is the median of three rounds. Noise and rooms of folders
are generated. Writes `benchmarks/results/augment.json` and `.md`.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from machine import about, write_result
from omegaconf import OmegaConf

from asr.augment.noise import Noise
from asr.augment.reverb import room_response
from asr.core.audio import audio_info
from asr.corpus.manifest import Manifest, Utterance
from asr.data.dataset import Draw, SpeechDataset
from asr.tokenizer.char import Char
from asr.wiring.build import build

RATE, ROUNDS = 16000, 3
ROOT = Path(__file__).parents[1]
SPEECH = ROOT.parent / "shared/data/LibriSpeech"
RESULTS = Path(__file__).parent / "results"
CODECS = ("g711", "gsm", "mp3", "opus")


def manifest(count: int) -> Manifest:
    """Utterances from all over the folder."""
    paths = sorted(SPEECH.rglob("*.flac"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, count).astype(int)]
    return Manifest(
        [Utterance(p.stem, str(p), audio_info(p).duration, "") for p in chosen], "speech"
    )


def sounds(folder: Path) -> Path:
    """Minutes of noise, and rooms."""
    rng, scene = np.random.default_rng(0), None
    noise = Noise(probability=1, snr_low_db=0, snr_high_db=0)
    for number in range(10):
        for name, sound in (
            ("noise", 0.1 * noise.sound(60 * RATE, rng, scene)),  # type: ignore[arg-type]
            ("room", 0.5 * room_response(0.5, 3.0, RATE, rng)),
        ):
            (folder / name).mkdir(exist_ok=True)
            soundfile.write(folder / name / f"{number}.wav", sound, RATE)
    return folder


def ways(folder: Path) -> dict[str, tuple[dict[str, Any], float]]:
    """Each augmentation's node, made to act always, and how often it acts as shipped."""
    found = {}
    for path in sorted((ROOT / "configs/augment").glob("*.yaml")):
        ((name, node),) = OmegaConf.to_container(OmegaConf.load(path)).items()  # type: ignore
        often = node.get("probability", 1.0)
        if "probability" in node:
            node["probability"] = 1.0
        if "folder" in node:
            node["folder"] = str(folder / name.split("_")[0].replace("reverb", "room"))
        if name == "codec":
            found |= {
                f"codec, {k}": (node | {"kinds": [k]}, often / 2 if k in node["kinds"] else 0.0)
                for k in CODECS
            }
        else:
            found[name] = node, often
    return found


def measure(count: int, folder: Path) -> tuple[dict[str, list[float]], float, dict[str, float]]:
    """Seconds of each way in each round, the audio's seconds, and how often each way acts."""
    speech, nodes = manifest(count), ways(sounds(folder))
    plain = SpeechDataset(speech, Char(["a"]), RATE)
    sources = {
        name: SpeechDataset(speech, Char(["a"]), RATE, augments={name: build(node)})
        for name, (node, _) in nodes.items()
    }
    plans: dict[str, list[Draw]] = {name: source.draws(0) for name, source in sources.items()}
    seconds: dict[str, list[float]] = {name: [0.0] * ROUNDS for name in ["decoding", *sources]}
    for turn in range(ROUNDS):
        for place, draw in enumerate(plain.draws(0)):
            plain[draw]  # from the disk into memory
            began = time.perf_counter()
            plain[draw]
            seconds["decoding"][turn] += time.perf_counter() - began
            for name, source in sources.items():
                mine = replace(plans[name][place], epoch=turn)
                began = time.perf_counter()
                source[mine]
                seconds[name][turn] += time.perf_counter() - began
    return (
        seconds,
        float(speech.durations.sum()),
        {name: often for name, (_, often) in nodes.items()},
    )


def page(figures: dict[str, dict[str, float]], audio: float) -> str:
    """Markdown."""
    machine = about()
    lines = [
        "# What augmentation costs",
        "",
        f"{audio / 60:.0f} minutes of LibriSpeech as FLAC, one thread, {machine['processor']}, "
        f"{machine['date']}, commit {machine['commit']}: `python benchmarks/augment.py`. An hour a "
        "second is 3600.",
        "",
        "| | audio seconds per second and core | time, decoding = 1 | on average, as shipped |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {f['audio_seconds_per_second']:.0f} | {f['of_decoding']:.2f} | "
            f"{f['of_decoding_on_average']:.2f} |"
            for name, f in figures.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        seconds, audio, often = measure(count, Path(folder))
    decoding = statistics.median(seconds["decoding"])
    figures = {}
    for name, rounds in seconds.items():
        extra = [t - d for t, d in zip(rounds, seconds["decoding"], strict=True)]
        own = decoding if name == "decoding" else max(statistics.median(extra), 1e-9)
        figures[name] = {
            "audio_seconds_per_second": round(audio / own),
            "of_decoding": round(own / decoding, 3),
            "of_decoding_on_average": round(often.get(name, 1.0) * own / decoding, 3),
        }
    write_result("augment", audio_seconds=round(audio), utterances=count, figures=figures)
    (RESULTS / "augment.md").write_text(page(figures, audio), encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
