"""A model's arrays in a file of their own, which is mapped into memory the next time."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.core import kept
from asr.language_model.flat import Flat

_VERSION = "ngram-3"


class Kept(NamedTuple):
    """What makes a model: the longest n-grams' order, the words by number, the arrays."""

    order: int
    vocabulary: list[str]
    flat: Flat


def places(path: Path) -> list[Path]:
    """Where the arrays of a file may be kept: beside it, or in the user's cache."""
    return kept.places(path, "ngram")


def keep(model: Kept, place: Path, key: str) -> None:
    """Write a model's arrays."""
    text = np.frombuffer("\n".join(model.vocabulary).encode(), dtype=np.uint8)
    arrays = {"vocabulary": text, **model.flat._asdict()}
    kept.keep(place, f"{_VERSION} {key}", {"order": model.order}, arrays)


def find(place: Path, key: str) -> Kept | None:
    """A kept model, if it is whole and of the same file."""
    found = kept.find(place, f"{_VERSION} {key}")
    if found is None:
        return None
    facts, arrays = found
    try:
        vocabulary = arrays.pop("vocabulary").tobytes().decode().split("\n")
        return Kept(facts["order"], vocabulary, Flat(**arrays))
    except (ValueError, KeyError, TypeError):  # another version's
        return None
