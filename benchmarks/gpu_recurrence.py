"""Which way through a bidirectional LSTM of ragged sequences is the fastest on a GPU?

    python benchmarks/gpu_recurrence.py --output DIR               # about 20 seconds
    python benchmarks/gpu_recurrence.py --output DIR --device cpu --small

Forward and backward of one layer, 32 utterances of 8 to 13 seconds, 430 frames: ours (two
directions one after the other), the same side by side on two streams, torch's packed sequences,
and one bidirectional layer over the padding, which is wrong behind each utterance and only shows
what cuDNN could do. float16 is what autocast takes for recurrences, whatever it was asked for;
"bfloat16" casts by hand. Milliseconds, median of five, ways interleaved.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from machine import about
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.core.padded import Padded
from asr.model.layers import Recurrence, _Reorder, _reversed_order
from asr.wiring.recognizer import choose_device


def side_by_side(layer: Recurrence, x: Padded, stream: torch.cuda.Stream | None) -> Tensor:
    """Ours, with the backward direction on a stream of its own."""
    now = torch.cuda.current_stream() if stream else None
    if stream:
        stream.wait_stream(now)
    with torch.cuda.stream(stream):
        order = _reversed_order(x)
        reverse = _Reorder.apply(layer.back(_Reorder.apply(x.values, order))[0], order)
    ahead = layer.ahead(x.values)[0]
    if stream:
        now.wait_stream(stream)
        reverse.record_stream(now)
    return Padded(torch.cat([ahead, reverse], dim=-1), x.lengths).zeroed().values


def packed(layer: nn.LSTM, x: Padded, lengths: Tensor) -> Tensor:
    """As deepspeech.pytorch and most others; lengths on the CPU."""
    sequences = pack_padded_sequence(x.values, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(sequences)[0], batch_first=True)[0]


def ways(
    hidden: int, kind: str, device: torch.device, small: bool
) -> dict[str, Callable[[], Tensor]]:
    """Each way's forward pass, from the same input."""
    batch, frames, size = (4, 20, 64) if small else (32, 430, 640)
    lengths = torch.linspace(0.6 * frames, frames, batch).long()
    dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
    values = torch.randn(batch, frames, size, device=device, dtype=dtype, requires_grad=True)
    x = Padded(values, lengths.to(device))
    ours = Recurrence("lstm", size, hidden, bidirectional=True).to(device, dtype)
    both = nn.LSTM(size, hidden, batch_first=True, bidirectional=True).to(device, dtype)
    stream = torch.cuda.Stream() if device.type == "cuda" else None
    return {
        "one after the other": lambda: ours(x).values,
        "side by side": lambda: side_by_side(ours, x, stream),
        "packed": lambda: packed(both, x, lengths),
        "over the padding": lambda: both(x.values)[0],
    }


def milliseconds(
    forward: dict[str, Callable[[], Tensor]], kind: str, device: torch.device
) -> dict[str, float]:
    """Forward and backward."""
    times: dict[str, list[float]] = {name: [] for name in forward}
    for repeat in range(7):
        for name, way in forward.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            with torch.autocast(device.type, torch.float16, enabled=kind == "float16"):
                out = way()
            out.backward(torch.ones_like(out))
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat >= 2:
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: round(statistics.median(t), 3) for name, t in times.items()}


def main() -> None:
    """Measure all, print a table, write gpu_recurrence.json."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="a rehearsal")
    options = parser.parse_args()
    device = choose_device(options.device)
    warnings.filterwarnings("ignore", message="RNN module weights")
    found = {}
    for hidden in (256, 512, 1024)[: 1 if options.small else None]:
        for kind in ("float32", "bfloat16", "float16")[: 2 if options.small else None]:
            name = f"{hidden} {kind}"
            found[name] = milliseconds(ways(hidden, kind, device, options.small), kind, device)
            print(f"| {name} | " + " | ".join(f"{w}: {t}" for w, t in found[name].items()), "|")
    options.output.mkdir(parents=True, exist_ok=True)
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
    text = json.dumps({"milliseconds": found, "gpu": gpu, "machine": about()}, indent=1)
    (options.output / "gpu_recurrence.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
