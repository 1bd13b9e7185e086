"""Arrays that took long to make, in a file of their own, which is mapped into memory the next time.

A file holds a magic line, a line of JSON that says what follows, and each array, aligned. It is
written whole or not at all; one that is damaged, or made of something else, counts as absent.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_MAGIC = b"asr-kept-1\n"


def places(path: Path, suffix: str) -> list[Path]:
    """Where what is made of a file may be kept: beside it, or in the user's cache."""
    name = f"{path.name}.{suffix}"
    digest = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return [path.with_name(name), home / "asr" / f"{digest}-{name}"]


def keep(place: Path, key: str, facts: Mapping[str, Any], arrays: Arrays) -> None:
    """Write arrays of one dimension.

    key: what they were made of. facts: plain data to stand beside them.

    Raises:
        OSError: the place is not ours to write, or the disk is full.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    described = {name: [array.dtype.str, len(array)] for name, array in arrays.items()}
    header = json.dumps({"key": key, **facts, "arrays": described})
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(_MAGIC + header.encode() + b"\n")
            for array in arrays.values():
                file.write(b"\0" * (-file.tell() % 64))
                file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def find(place: Path, key: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The facts and the arrays, which must not be written to; None unless whole and of this key."""
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
        for name, (dtype, length) in header.pop("arrays").items():
            position += -position % 64
            size = np.dtype(dtype).itemsize * length
            arrays[name] = np.asarray(whole[position : position + size]).view(dtype)
            position += size
        return (header, arrays) if position == len(whole) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # another's, or cut short
        return None
