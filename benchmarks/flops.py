"""The matrix work of whatever runs inside: multiplications and additions, from tensors' shapes."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def flop_counter() -> FlopCounterMode:
    """A context that counts matrix products, convolutions, attention and recurrences.

    Torch's own counter knows all but the last; `get_total_flops()` tells when it is left.
    """
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._cudnn_rnn: _cudnn_rnn,
            aten._cudnn_rnn_backward: _cudnn_rnn_backward,
            aten.mkldnn_rnn_layer: _mkldnn_rnn,
            aten.mkldnn_rnn_layer_backward: _mkldnn_rnn_backward,
        },
    )


# Of each weight and frame two forward, and twice as many backward: each gets the shapes of the
# operator's arguments.


def _cudnn_rnn(x: list[int], weights: list[list[int]], *_: Any, **__: Any) -> int:
    return 2 * x[0] * x[1] * sum(w[0] * w[1] for w in weights if len(w) == 2)


def _cudnn_rnn_backward(x: list[int], weights: list[list[int]], *_: Any, **__: Any) -> int:
    return 2 * _cudnn_rnn(x, weights)


def _mkldnn_rnn(x: list[int], from_x: list[int], from_h: list[int], *_: Any, **__: Any) -> int:
    return 2 * x[0] * x[1] * (from_x[0] * from_x[1] + from_h[0] * from_h[1])


def _mkldnn_rnn_backward(
    x: list[int], from_x: list[int], from_h: list[int], *_: Any, **__: Any
) -> int:
    return 2 * _mkldnn_rnn(x, from_x, from_h)
