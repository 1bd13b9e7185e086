"""In which layout is a convolution of each channel by itself fast? Forward and backward.

    python benchmarks/depthwise.py [cpu|cuda] [float32|bfloat16]      # one thread on a CPU

Times over that of the frames' matrix product that follows it in `model=quartznet`. Writes
`benchmarks/results/depthwise_DEVICE_TYPE.json`.
"""

import sys
import time
from collections.abc import Callable

import torch
from machine import write_result
from torch import Tensor, nn

SIZES = {"cpu": (8, 250, 256), "cuda": (32, 700, 512)}  # B, T, C
ROUNDS = 7


def milliseconds(layer: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The fastest of some forward and backward passes."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        out = layer(x)
        out.backward(torch.ones_like(out))
        if x.is_cuda:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def layouts(channels: int, kernel: int, **where: object) -> dict[str, Callable[[Tensor], Tensor]]:
    """The same convolution of (B, T, C) by torch's layers and layouts."""
    flat = nn.Conv1d(
        channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False, **where
    )
    tall = nn.Conv2d(
        channels, channels, (kernel, 1), padding=(kernel // 2, 0), groups=channels, bias=False,
        **where,
    )  # fmt: skip
    return {
        "Conv2d, channels last (ours)": lambda x: tall(x[:, :, None].permute(0, 3, 1, 2)),
        "Conv2d, channels first": lambda x: tall(x.transpose(1, 2)[..., None].contiguous()),
        "Conv1d": lambda x: flat(x.transpose(1, 2)),
    }


def main() -> None:
    """Measure, write."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    dtype = sys.argv[2] if len(sys.argv) > 2 else "float32"
    torch.set_num_threads(1)
    where = {"device": device, "dtype": getattr(torch, dtype)}
    batch, frames, channels = SIZES[device]
    x = torch.randn(batch, frames, channels, requires_grad=True, **where)
    product = milliseconds(nn.Linear(channels, channels, bias=False, **where), x)
    write_result(
        f"depthwise_{device}_{dtype}",
        shape=[batch, frames, channels],
        accelerator=torch.cuda.get_device_name() if device == "cuda" else None,
        matrix_product_ms=round(product, 3),
        times_the_product={
            kernel: {
                name: round(milliseconds(layer, x) / product, 2)
                for name, layer in layouts(channels, kernel, **where).items()
            }
            for kernel in (11, 33, 63)
        },
    )


if __name__ == "__main__":
    main()
