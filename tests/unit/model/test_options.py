"""A model's options are checked, and named as in its YAML."""

from typing import Any

import pytest
from omegaconf import OmegaConf
from support import CONFIGS

from asr.wiring.build import build


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernels": [[2, 5], [5, 7]]}, r"kernel sizes must be odd and positive, not \[2, 5\]"),
        ({"strides": [[0, 2], [2, 2]]}, r"strides must be positive, not \[0, 2\]"),
        ({"channels": [32]}, "one entry for each convolution, not 1, 2 and 2"),
        ({"cell": "rnn"}, "model.cell='rnn' is unknown"),
        ({"layers": 0}, "model.layers=0"),
        ({"bidirectional": False, "lookahead": 0}, "model.lookahead=0"),
        ({"hidden": 3}, "hidden"),
    ],
)
def test_deepspeech2(changes: dict[str, Any], message: str) -> None:
    config = OmegaConf.load(CONFIGS / "model" / "deepspeech2.yaml")
    with pytest.raises(ValueError, match=message):
        build({**OmegaConf.to_container(config), **changes}, 80, 9)


def test_wav2letter_wants_lists_of_one_length() -> None:
    config = OmegaConf.load(CONFIGS / "model" / "wav2letter.yaml")
    with pytest.raises(ValueError, match="one entry for each layer, not 8, 1 and 8"):
        build({**OmegaConf.to_container(config), "kernels": [3]}, 80, 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": [1, 3]}, "one entry for each block, not 7, 7, 7, 2"),
        ({"repeats": [0] * 7}, r"model.repeats=\[0, .* must be at least 1"),
        ({"squeeze": 257}, "model.squeeze=257 0 to the fewest channels"),
        ({"kernels": [2] * 7}, r"kernel sizes must be odd and positive, not \[2, 1\]"),
    ],
)
def test_quartznet(changes: dict[str, Any], message: str) -> None:
    config = OmegaConf.load(CONFIGS / "model" / "quartznet.yaml")
    with pytest.raises(ValueError, match=message):
        build({**OmegaConf.to_container(config), **changes}, 80, 9)
