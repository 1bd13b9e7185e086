"""What do features cost beyond their transform and their one matrix product?

    python benchmarks/features.py            # writes results/features.json
    python benchmarks/features.py --threads 1 --clock cpu --no-write        # on a busy machine

`log_mel` as trained with, on 16 utterances of 4 to 6 seconds, beside `torch.stft` of the same
samples in the same float64 (see `asr/features/frames.py` for why) and one product of frames with
the filters; and beside the same in float32. Interleaved rounds, medians of ratios.
"""

import argparse
import json
import statistics
import time

import torch
from hydra import compose, initialize_config_dir
from machine import write_result
from torch import Tensor

from asr.core.padded import Padded
from asr.wiring.build import build
from asr.wiring.command import CONFIGS
from asr.wiring.schema import register_schemas


def bare(samples: Tensor, window: Tensor, filters: Tensor, n_fft: int, hop: int) -> Tensor:
    """Transform and product, nothing else: what is multiplied are magnitudes' stand-ins."""
    spectrum = torch.stft(
        samples, n_fft, hop, len(window), window, pad_mode="constant", return_complex=True
    )
    return spectrum.real.transpose(1, 2) @ filters


def main() -> None:
    """Measure in turn, print, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        features = build(compose("train").features)
    waveforms = Padded.stack([0.1 * torch.randn(64000 + 2133 * i) for i in range(16)])
    filters, window = features.filters, torch.hann_window(features.window)
    of_double = (waveforms.values.double(), window.double(), filters.double())
    works = {
        "log_mel": lambda: features(waveforms),
        "float64": lambda: bare(*of_double, features.n_fft, features.hop),
        "float32": lambda: bare(
            waveforms.values, window, filters, features.n_fft, features.hop
        ),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(options.rounds + 3):
        for name, work in works.items():
            began = clock()
            work()
            if round_ >= 3:
                seconds[name].append(clock() - began)
    found = {
        f"times_stft_and_product_in_{name}": round(
            statistics.median(
                o / s for o, s in zip(seconds["log_mel"], seconds[name], strict=True)
            ),
            3,
        )
        for name in ("float64", "float32")
    } | {f"ms_{name}": round(1000 * statistics.median(s), 2) for name, s in seconds.items()}
    found |= {"threads": options.threads, "rounds": options.rounds, "clock": options.clock}
    if options.no_write:
        print(json.dumps(found, indent=1))
    else:
        write_result("features", **found)


if __name__ == "__main__":
    main()
