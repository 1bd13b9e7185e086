"""Do aligned words lie where somebody speaks? Their level beside the recording's own floor.

    python benchmarks/alignment_energy.py NAME CHECKPOINT MANIFEST

For each word: its root mean square in dB over full scale and over the recording's floor (the
10th percentile of its 20 ms frames). Writes `benchmarks/results/alignment_energy_NAME.json`.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from machine import write_result

from asr.core.audio import load_waveform
from asr.core.checkpoint import load_checkpoint
from asr.corpus.manifest import read_manifest
from asr.data.dataset import SpeechDataset
from asr.scoring.known_text import align_dataset
from asr.wiring.recognizer import find_checkpoint, load_recognizer


def decibels(samples: np.ndarray) -> float:
    """Root mean square, dB over full scale."""
    return 10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-12)


def main() -> None:
    """Align, measure, write."""
    name, checkpoint, file = sys.argv[1:]
    path = find_checkpoint(checkpoint, None, "runs")
    recognizer, _ = load_recognizer(load_checkpoint(path), path)
    rate, manifest = recognizer.features.sample_rate, read_manifest(file)
    dataset = SpeechDataset(manifest, recognizer.tokenizer, rate, loss_optional=True)
    left_out = []
    found = align_dataset(
        recognizer, dataset, batch_seconds=100, left_out=lambda *one: left_out.append(one)
    )
    over_floor, levels, confidences = [], [], []
    for timed in found:
        samples = load_waveform(
            timed.audio, rate, offset=timed.offset, duration=timed.duration, raw=timed.raw
        )
        size = rate // 50
        frames = samples[: len(samples) // size * size].reshape(-1, size)
        floor = np.percentile([decibels(frame) for frame in frames], 10)
        for word in timed.words:
            levels.append(decibels(samples[int(word.start * rate) : int(word.end * rate)]))
            over_floor.append(levels[-1] - floor)
            confidences.append(word.confidence)
    write_result(
        f"{Path(__file__).stem}_{name}",
        manifest=manifest.name, utterances=len(found), left_out=len(left_out), words=len(levels),
        words_in_digital_silence=int((np.array(levels) < -90).sum()),
        share_3_db_over_floor=round(float((np.array(over_floor) > 3).mean()), 4),
        share_10_db_over_floor=round(float((np.array(over_floor) > 10).mean()), 4),
        median_db_over_floor=round(float(np.median(over_floor)), 2),
        mean_confidence=round(float(np.mean(confidences)), 4),
        threads=torch.get_num_threads(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
