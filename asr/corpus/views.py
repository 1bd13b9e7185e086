"""Sequences made of others, of which they copy nothing."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Row = TypeVar("Row")


class Joined(Sequence[Row]):
    """The rows of several sequences, one sequence after the other."""

    def __init__(self, parts: Sequence[Sequence[Row]]) -> None:
        self.parts = parts
        self.ends: list[int] = np.cumsum([len(part) for part in parts]).tolist()

    def __len__(self) -> int:
        return self.ends[-1]

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Selected(self, np.arange(len(self))[index])
        index = range(len(self))[index]
        number = bisect_right(self.ends, index)
        return self.parts[number][index - self.ends[number]]  # from its end


class Selected(Sequence[Row]):
    """Some rows of a sequence. places: (n,) where they stand in it."""

    def __init__(self, rows: Sequence[Row], places: NDArray[np.int64]) -> None:
        self.rows, self.places = rows, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Selected(self.rows, self.places[index])
        return self.rows[int(self.places[index])]
