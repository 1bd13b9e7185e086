"""The contract of an engine: a function over many items, by many hands, in the items' order."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from asr.core.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")
Part = TypeVar("Part")
Handle = TypeVar("Handle")

AHEAD = 4  # parts a worker that are handed out before the first is done: memory stays bounded


class Engine(ABC):
    """Where work is done. What comes out does not depend on it, nor does its order."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        title: str,
        total: int,
        *,
        chunk: int,
    ) -> Iterator[Result]:
        """Yield the function's result of each item, in order, and show a bar.

        Args:
            function: of a module, or a `partial` of one; it and the items can be pickled.
            items: taken as they are needed.
            title: what is being done, for people. total: how many items there are.
            chunk: items that a worker gets at once.

        Raises:
            ValueError: a worker died.
            Exception: what the function raises, as it is.
        """
        with progress_bar(title, total) as advance:
            for results in self.run(function, _parts(items, chunk)):
                yield from results
                advance(len(results))

    @abstractmethod
    def run(
        self, function: Callable[[Item], Result], parts: Iterable[list[Item]]
    ) -> Iterator[list[Result]]:
        """Yield the results of each part, in order; `map` makes the parts."""


def each(function: Callable[[Item], Result], part: Iterable[Item]) -> list[Result]:
    """What a worker does."""
    return [function(item) for item in part]


def in_order(
    submit: Callable[[Part], Handle], parts: Iterable[Part], ahead: int
) -> Iterator[Handle]:
    """Hand out parts, at most so many ahead of the one that is yielded."""
    waiting: deque[Handle] = deque()
    for part in parts:
        waiting.append(submit(part))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _parts(items: Iterable[Item], chunk: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, chunk)):
        yield part
