"""Posteriors from elsewhere: every declaration is honoured, and every contradiction refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from asr.data.posteriors import read_posteriors, read_symbols

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 7, 5)).astype(np.float32)  # (B, T, V)
LOG_PROBS = torch.from_numpy(LOGITS).log_softmax(-1)
PROBABILITIES = LOG_PROBS.exp().numpy()
DECLARED = {"kind": "log_probs", "layout": "btv", "blank": "first"}


def saved(folder: Path, values: np.ndarray, name: str = "a.npy") -> Path:
    np.save(folder / name, values)
    return folder / name


@pytest.mark.parametrize(
    ("kind", "values"),
    [("logits", LOGITS), ("log_probs", LOG_PROBS.numpy()), ("probabilities", PROBABILITIES)],
)
@pytest.mark.parametrize(("layout", "axes"), [("btv", (0, 1, 2)), ("tbv", (1, 0, 2))])
@pytest.mark.parametrize(("blank", "place"), [("first", 0), ("last", 4), (2, 2), ("3", 3)])
def test_every_kind_layout_and_blank_give_the_same(
    tmp_path: Path, kind, values, layout, axes, blank, place
) -> None:
    moved = np.insert(values[..., 1:], place, values[..., 0], axis=-1).transpose(axes)
    found = read_posteriors(saved(tmp_path, moved), kind=kind, layout=layout, blank=blank)
    assert found.lengths.tolist() == [7, 7]
    torch.testing.assert_close(found.values, LOG_PROBS, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_one_utterance_of_any_float(tmp_path: Path, dtype: str) -> None:
    path = saved(tmp_path, LOG_PROBS[0].numpy().astype(dtype))
    found = read_posteriors(path, kind="log_probs", layout="tv", blank="first")
    assert found.values.shape == (1, 7, 5)
    assert found.values.dtype == (torch.float64 if dtype == "<f8" else torch.float32)
    assert found.values.exp().sum(-1).numpy() == pytest.approx(np.ones((1, 7)), abs=1e-6)
    torch.testing.assert_close(found.values[0].float(), LOG_PROBS[0], rtol=0.01, atol=0.01)


def test_epsilon_is_what_keras_adds(tmp_path: Path) -> None:
    sharp = np.zeros((1, 2, 4), dtype=np.float32)
    sharp[0, 0, 1] = sharp[0, 1, 0] = 1
    path = saved(tmp_path, sharp)
    options = {"kind": "probabilities", "layout": "btv", "blank": "first"}
    assert read_posteriors(path, **options).values.isinf().any()
    found = read_posteriors(path, **options, epsilon=1e-7).values.double()
    expected = (sharp.astype(np.float64) + 1e-7) / (1 + 4e-7)
    assert found.exp().numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (PROBABILITIES, "log_probs", "lies in .0, 1. and sums to one"),
        (PROBABILITIES, "logits", "lies in .0, 1. and sums to one"),
        (LOG_PROBS.numpy(), "probabilities", "as those of log-probabilities do"),
        (LOG_PROBS.numpy(), "logits", "as those of log-probabilities do"),
        (LOGITS, "log_probs", "normalised neither"),
        (LOGITS, "probabilities", "normalised neither"),
        (PROBABILITIES, None, "declare what .* holds: probabilities, log_probs, logits.* lies in"),
        (LOGITS, "softmax", "kind=softmax: declare"),
    ],
)
def test_an_undeclared_or_contradicting_kind_is_refused(tmp_path, values, kind, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_posteriors(saved(tmp_path, values), kind=kind, layout="btv", blank="first")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": None}, r"whose shape is \(2, 7, 5\): btv, tbv or tv"),
        ({"layout": "tv"}, "layout=tv, but .* has 3 axes"),
        ({"blank": None}, "blank=None: declare which of the 5"),
        ({"blank": 5}, r"its index 0\.\.4"),
        ({"blank": "middle"}, "blank=middle"),
        ({"epsilon": 1e-7}, "added to probabilities"),
        ({"lengths": "[3"}, r"lengths=\[3"),
    ],
)
def test_other_declarations_that_are_not_so(tmp_path: Path, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_posteriors(saved(tmp_path, LOG_PROBS.numpy()), **(DECLARED | change))


def test_padding_needs_lengths_and_is_then_not_read(tmp_path: Path) -> None:
    padded = PROBABILITIES.copy()
    padded[1, 4:] = 0
    path = tmp_path / "a.npz"
    np.savez(path, softmax=padded, frames=np.array([7, 4]), swapped=np.array([4, 4, 4, 4, 4, 4, 4]))
    options = {"kind": "probabilities", "layout": "btv", "blank": "first", "array": "softmax"}
    with pytest.raises(
        ValueError, match=r"Frame 4 of utterance 1 sums to 0; .* posteriors.lengths"
    ):
        read_posteriors(path, **options)
    found = read_posteriors(path, **options, lengths="frames")
    assert found.lengths.tolist() == [7, 4]
    torch.testing.assert_close(found.values[1, :4], LOG_PROBS[1, :4])
    with pytest.raises(ValueError, match=r"7 lengths from 4 to 4 for 2 utterances .*layout"):
        read_posteriors(path, **options, lengths="swapped")
    (tmp_path / "lengths.txt").write_text("7\n4\n")
    other = read_posteriors(path, **options, lengths=str(tmp_path / "lengths.txt"))
    assert other.lengths.tolist() == [7, 4]
    with pytest.raises(ValueError, match="array=None is not given; it holds softmax, frames"):
        read_posteriors(path, **(options | {"array": None}))
    with pytest.raises(ValueError, match="array=sofmax is not in it"):
        read_posteriors(path, **(options | {"array": "sofmax"}))


def test_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["outputs/softmax"] = PROBABILITIES
        file["outputs/lengths"] = np.array([7, 5])
    found = read_posteriors(
        path, kind="probabilities", layout="btv", blank="first",
        array="outputs/softmax", lengths="outputs/lengths",
    )  # fmt: skip
    assert found.lengths.tolist() == [7, 5]
    torch.testing.assert_close(found.values, LOG_PROBS)


def test_files_that_are_none(tmp_path: Path) -> None:
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    for name in ("text.npy", "text.npz", "text.h5"):
        (tmp_path / name).write_text("no array")
    with pytest.raises(ValueError, match="no such file"):
        read_posteriors(tmp_path / "gone.npy", **DECLARED)
    with pytest.raises(ValueError, match=r"read from \.npy"):
        read_posteriors(tmp_path / "a.pt", **DECLARED)
    for name in ("objects.npy", "text.npy", "text.npz", "text.h5"):
        with pytest.raises(ValueError, match=name):
            read_posteriors(tmp_path / name, **DECLARED)
    with pytest.raises(ValueError, match="the array is int64"):
        read_posteriors(saved(tmp_path, np.zeros((2, 3), dtype=np.int64)), **DECLARED)
    for shape in ((2, 0, 4), (0, 5, 4), (2, 5, 0)):
        with pytest.raises(ValueError, match="none of them empty"):
            read_posteriors(saved(tmp_path, np.zeros(shape)), **DECLARED)
    spoilt = LOG_PROBS.numpy().copy()
    spoilt[1, 3, 2] = np.nan
    with pytest.raises(ValueError, match="frame 3 of utterance 1 holds NaN"):
        read_posteriors(saved(tmp_path, spoilt), **DECLARED)


def test_symbols_with_and_without_the_blank(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text("a\n \nb\n_\n", encoding="utf-8")
    assert read_symbols(path, 4, blank=3) == ["_", "a", " ", "b"]
    assert read_symbols(path, 5, blank=4) == ["<blank>", "a", " ", "b", "_"]
    with pytest.raises(ValueError, match="4 lines for 7 symbols"):
        read_symbols(path, 7, blank=0)
    with pytest.raises(ValueError, match=r"tokens=.*gone"):
        read_symbols(tmp_path / "gone", 4, blank=0)
