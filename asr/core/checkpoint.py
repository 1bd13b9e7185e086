"""Checkpoints: tensors and plain data, written whole or not at all, read without running code."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = "asr-checkpoint"
VERSION = 1


def save_checkpoint(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash at any moment leaves the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        torch.save({"format": FORMAT, "version": VERSION} | content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is on disk only now
    finally:
        os.close(folder)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Raises:
        ValueError: there is none, it is damaged, or it is a checkpoint of another program; it
            holds something other than tensors and plain data, which could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint; train one with `python -m asr.train`")
    damaged = f"{path}: damaged or not a checkpoint; use another checkpoint of the run"
    if not zipfile.is_zipfile(path):
        raise ValueError(damaged)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: not loaded, because it holds more than tensors and plain data, which could "
            f"run code ({str(error).splitlines()[0]})"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{damaged} ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        keys = (
            sorted(map(str, content))[:5] if isinstance(content, dict) else type(content).__name__
        )
        raise ValueError(
            f"{path}: a checkpoint of another kind (it holds {keys}); this program reads those "
            "that `python -m asr.train` writes"
        )
    if content["version"] > VERSION:
        raise ValueError(
            f"{path}: written by a newer version of this program (format {content['version']}, "
            f"this one reads up to {VERSION}); update the program"
        )
    return content
