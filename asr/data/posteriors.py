"""Posteriors of any framework: arrays in a file, as declared, to log-probabilities.

Nothing is guessed. What a file holds must be declared, and what is declared is checked: a softmax
too many or too few is the mistake that this program exists to stop (see docs/softmax-once.md).
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import looks_like, tolerance_of

KINDS = ("probabilities", "log_probs", "logits")
LAYOUTS = {"btv": 3, "tbv": 3, "tv": 2}
_ENDINGS = {".npy": "npy", ".npz": "npz", ".h5": "HDF5", ".hdf5": "HDF5"}


def read_posteriors(
    path: Path,
    *,
    kind: str | None,
    layout: str | None,
    blank: str | int | None,
    epsilon: float = 0.0,
    array: str | None = None,
    lengths: str | None = None,
) -> Padded:
    """Read an array of posteriors as (B, T, V) log-probabilities, blank first, normalised.

    Args:
        path: .npy, .npz, .h5 or .hdf5.
        kind: "probabilities", "log_probs" or "logits".
        layout: the axes: "btv", "tbv" or, for one utterance, "tv".
        blank: "first", "last", or its index.
        epsilon: added to probabilities before they are normalised and their log is taken; Keras's
            `ctc_batch_cost` adds 1e-7. Without it a probability of 0 stays impossible.
        array: which array of the file; needed where it holds several.
        lengths: the frames of each utterance: an array of the same file, or an .npy or text file
            of integers. None: all frames are real.

    Raises:
        ValueError: something is not declared, or not so; says what was seen.
    """
    values = torch.from_numpy(_read_array(path, array))
    if layout not in LAYOUTS:
        raise ValueError(
            f"posteriors.layout={layout}: declare the axes of {path}, whose shape is "
            f"{tuple(values.shape)}: btv, tbv or tv (b utterances, t frames, v symbols)"
        )
    if values.dim() != LAYOUTS[layout]:
        raise ValueError(f"posteriors.layout={layout}, but {path} has {values.dim()} axes")
    values = {"btv": values, "tbv": values.transpose(0, 1), "tv": values[None]}[layout]
    batch = Padded(values, _read_lengths(path, lengths, values))  # (B, T, V)
    _check_kind(batch, kind, epsilon, path)
    place = blank_index(blank, values.shape[2])
    order = [place, *(i for i in range(values.shape[2]) if i != place)]
    dtype = torch.promote_types(values.dtype, torch.float32)
    found = values[..., order].to(dtype)
    if kind == "probabilities":
        found = (found + epsilon).log()
    # Log-probabilities stay what they are; what rounding to a small type took is given back.
    return Padded(found.log_softmax(dim=-1), batch.lengths)


def _check_kind(batch: Padded, kind: str | None, epsilon: float, path: Path) -> None:
    rows = batch.values[batch.mask]  # (sum of T, V)
    if bool(rows.isnan().any()):
        row, frame = (batch.mask.nonzero()[rows.isnan().any(-1)][0]).tolist()
        raise ValueError(f"{path}: frame {frame} of utterance {row} holds NaN")
    seen = looks_like(rows.double(), tolerance_of(batch.values.dtype))
    if kind not in KINDS:
        raise ValueError(
            f"posteriors.kind={kind}: declare what {path} holds: {', '.join(KINDS)}. {_SEEN[seen]}"
        )
    if len(rows) and seen != kind:
        raise ValueError(
            f"posteriors.kind={kind}, but {path} does not hold that. {_SEEN[seen]}"
            + (_worst(batch, kind) if seen == "logits" else "")
        )
    if epsilon < 0 or (epsilon and kind != "probabilities"):
        raise ValueError(
            f"posteriors.epsilon={epsilon}: it is added to probabilities, and is 0 or more"
        )


_SEEN = {
    "probabilities": "Each frame lies in [0, 1] and sums to one, as probabilities do",
    "log_probs": "The exponentials of each frame sum to one, as those of log-probabilities do",
    "logits": "Its frames are normalised neither as probabilities nor as log-probabilities, as "
    "logits are, or frames of padding, or another order of axes",
}


def _worst(batch: Padded, kind: str) -> str:
    """The frame that is farthest from what was declared."""
    values = batch.values.double()
    sums = values.sum(-1) if kind == "probabilities" else values.exp().sum(-1)  # (B, T)
    gaps = (sums - 1).abs().nan_to_num(torch.inf).masked_fill(~batch.mask, -1)
    row, frame = divmod(int(gaps.argmax()), gaps.shape[1])
    return (
        f". Frame {frame} of utterance {row} sums to {float(sums[row, frame]):.4g}; if it is "
        "padding, give posteriors.lengths"
    )


def blank_index(blank: str | int | None, size: int) -> int:
    """The index that `first`, `last` or a number names; ValueError if it names none."""
    places = {"first": 0, "last": size - 1}
    place = places.get(str(blank), blank)
    try:
        index = int(place)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        index = -1
    if not 0 <= index < size:
        raise ValueError(
            f"posteriors.blank={blank}: declare which of the {size} symbols is the blank: first "
            f"(torch, optax), last (Keras, TensorFlow 1), or its index 0..{size - 1}"
        )
    return index


def _read_array(path: Path, name: str | None) -> NDArray[np.floating]:
    found = _open(path, name)
    if found.dtype.kind not in "f" or found.ndim not in (2, 3) or 0 in found.shape:
        raise ValueError(
            f"{path}: the array is {found.dtype} of shape {found.shape}; posteriors are floating "
            "point, of two or three axes, none of them empty"
        )
    # Torch knows neither the other byte order nor long doubles.
    native = found.dtype.newbyteorder("=") if found.itemsize <= 8 else np.float64
    return np.ascontiguousarray(found, dtype=native)


def _open(path: Path, name: str | None) -> NDArray[np.generic]:
    """An array of a file; the only one, if none is named."""
    form = _ENDINGS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path}: posteriors are read from {', '.join(_ENDINGS)}")
    try:
        if form == "npy":
            return np.asarray(_load(path))
        if form == "npz":
            with _load(path) as archive:
                return np.asarray(archive[_choose(path, name, archive.files)])
        with h5py.File(path) as file:
            found: list[str] = []
            file.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
            return np.asarray(file[_choose(path, name, found)][()])
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a {form} file that can be read: {error}") from None


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: not an array of numbers: {error}") from None


def _choose(path: Path, name: str | None, names: list[str]) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name.strip("/") not in names:
        which = "is not in it" if name else "is not given"
        raise ValueError(f"{path}: posteriors.array={name} {which}; it holds {', '.join(names)}")
    return name.strip("/")


def _read_lengths(path: Path, name: str | None, values: Tensor) -> Tensor:
    count, frames = values.shape[:2]
    if name is None:
        return torch.full((count,), frames)
    file = Path(name)
    try:
        if file.suffix == ".npy":
            found = _open(file, None)
        elif file.is_file():
            found = np.array([int(line) for line in file.read_text().split()])
        else:
            found = _open(path, name)
        lengths = torch.from_numpy(found.astype(np.int64, casting="same_kind").reshape(-1))
    except (TypeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"posteriors.lengths={name}: {error}") from None
    if len(lengths) != count or bool(((lengths < 0) | (lengths > frames)).any()):
        raise ValueError(
            f"posteriors.lengths={name}: {len(lengths)} lengths from {int(lengths.min())} to "
            f"{int(lengths.max())} for {count} utterances of at most {frames} frames; if these are "
            "swapped, posteriors.layout is not what was declared"
        )
    return lengths


def read_symbols(path: Path, size: int, blank: int) -> list[str]:
    """Symbols from a file, one a line in the order of their indices; the blank moved first.

    The file has a line for each of the `size` symbols, or for all but the blank.

    Raises:
        ValueError: it has another number of lines.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"tokens={path}: {error}") from None
    lines = text.removesuffix("\n").split("\n")
    if len(lines) == size - 1:
        return ["<blank>", *lines]
    if len(lines) != size:
        raise ValueError(
            f"tokens={path}: {len(lines)} lines for {size} symbols; write one symbol a line, in "
            "the order of the posteriors' last axis, with or without the blank"
        )
    return [lines[blank], *lines[:blank], *lines[blank + 1 :]]
