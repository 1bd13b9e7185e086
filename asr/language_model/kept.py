"""A model's arrays in a file of their own, which is mapped into memory the next time."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.language_model.flat import Flat

_MAGIC = b"asr-ngram-2\n"


class Kept(NamedTuple):
    """What makes a model: the longest n-grams' order, the words by number, the arrays."""

    order: int
    vocabulary: list[str]
    flat: Flat


def places(path: Path) -> list[Path]:
    """Where the arrays of a file may be kept: beside it, or in the user's cache."""
    name = f"{path.name}.ngram"
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return [path.with_name(name), home / "asr" / f"{digest}-{name}"]


def keep(kept: Kept, place: Path, key: str) -> None:
    """Write a model's arrays: a line that says what follows, then each array, aligned."""
    place.parent.mkdir(parents=True, exist_ok=True)
    text = np.frombuffer("\n".join(kept.vocabulary).encode(), dtype=np.uint8)
    arrays = {"vocabulary": text, **kept.flat._asdict()}
    header = json.dumps(
        {"key": key, "order": kept.order}
        | {"arrays": {n: [a.dtype.str, len(a)] for n, a in arrays.items()}}
    )
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(_MAGIC + header.encode() + b"\n")
            for array in arrays.values():
                file.write(b"\0" * (-file.tell() % 64))
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def find(place: Path, key: str) -> Kept | None:
    """A kept model, if it is whole and of the same file."""
    try:
        with place.open("rb") as file:
            if file.readline(len(_MAGIC)) != _MAGIC:
                return None
            header = json.loads(file.readline())
            position = file.tell()
        if header["key"] != key:
            return None
        whole = np.memmap(place, mode="r")
        arrays = {}
        for name, (dtype, length) in header["arrays"].items():
            position += -position % 64
            size = np.dtype(dtype).itemsize * length
            arrays[name] = np.asarray(whole[position : position + size]).view(dtype)
            position += size
        if position != len(whole):
            return None
        vocabulary = arrays.pop("vocabulary").tobytes().decode().split("\n")
        return Kept(header["order"], vocabulary, Flat(**arrays))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ):  # another version's, or cut short
        return None
