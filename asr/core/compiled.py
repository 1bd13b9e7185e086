"""Loops that numba compiles: no build step, no GIL, compiled once and kept.

What is compiled is kept beside the code (or in the user's cache, where that may not be written),
in a folder named by a hash of the parts that hold kernels: numba looks only at the file that a
function stands in, and would go on using one whose helpers or constants have changed.
"""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numba
import numpy as np
from numba import types
from numba.core import config
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray
from rich.console import Console

_PACKAGE = Path(__file__).resolve().parents[1]


def kernel(function: Callable[..., Any]) -> Dispatcher:
    """Mark a function of numbers and arrays as compiled; nothing is compiled yet.

    A kernel may call kernels; it holds no GIL, so that threads run kernels side by side.
    """
    return _mark(function, "never")


def part(function: Callable[..., Any]) -> Dispatcher:
    """Mark a function as a part of the kernel that calls it, put in its place: no call is made."""
    return _mark(function, "always")


def _mark(function: Callable[..., Any], inline: Literal["never", "always"]) -> Dispatcher:
    settings: Any = config  # a module whose attributes come from the environment
    before = settings.CACHE_DIR
    settings.CACHE_DIR = before or str(_cache_folder())
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", inline=inline)(function)
    finally:
        settings.CACHE_DIR = before


def prepare(dispatcher: Dispatcher, *signature: Any) -> None:
    """Compile a kernel for the numba types of its arguments, or load what was kept.

    A line on the terminal says so where it takes time.
    """
    if signature in dispatcher.overloads:
        return
    name = dispatcher.py_func.__name__
    console = Console(stderr=True, highlight=False)
    began = time.perf_counter()
    with console.status(f"compiling {name}, once"):
        dispatcher.compile(signature)
    if dispatcher.stats.cache_misses:
        seconds = time.perf_counter() - began
        console.print(f"compiled {name} in {seconds:.1f} s; the next start finds it ready")


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """An array as kernels take those that they only read: contiguous, not to be written."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def frozen_type(dtype: Any, dimensions: int = 1) -> types.Array:
    """The numba type of what `frozen` gives."""
    return types.Array(dtype, dimensions, "C", readonly=True)


def tuple_type(kind: type, *fields: Any) -> types.NamedTuple:
    """The numba type of a NamedTuple, given those of its fields."""
    return types.NamedTuple(list(fields), kind)  # type: ignore[no-untyped-call]


@functools.cache
def _cache_folder() -> Path:
    using = {p.parent for p in _PACKAGE.rglob("*.py") if b"core.compiled import" in p.read_bytes()}
    sources = sorted(path for folder in using for path in folder.glob("*.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    name = f"kernels-{digest.hexdigest()[:12]}"
    for base in (
        _PACKAGE / "__pycache__",
        Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "asr",
    ):
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    # For this process alone: what anybody may write to, nobody should run code from.
    folder = Path(tempfile.mkdtemp(prefix="asr-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
