"""A run's checkpoints: which are written, which are kept, and which one a resume goes on from.

last.pt, last-1.pt, ...   all that a resume needs; the older ones in case a newer is damaged
best.pt, best-120.pt ...  weights to use: of the best validations, by their updates
step-120.pt ...           like last.pt, kept for good
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asr.core.checkpoint import UnusableError, load_checkpoint, save_checkpoint, sync_folder
from asr.core.distributed import is_main


class Checkpoints:
    """The checkpoints in a run's folder. Only the main rank writes.

    keep_last: how many of the newest are kept, one or more. keep_best: of how many of the best
    validations the weights are kept. keep_every: updates between checkpoints that are never
    removed; 0 for none.
    """

    def __init__(self, folder: Path, *, keep_last: int, keep_best: int, keep_every: int) -> None:
        if keep_last < 1 or keep_best < 1 or keep_every < 0:
            raise ValueError(
                f"trainer.keep_last={keep_last} and trainer.keep_best={keep_best} must be at least "
                f"1, trainer.keep_every={keep_every} at least 0"
            )
        self.folder, self.keep_best, self.keep_every = folder, keep_best, keep_every
        older = [folder / f"last-{age}.pt" for age in range(1, keep_last)]
        self.last = [folder / "last.pt", *older]
        self._unsaved: dict[Path, dict[str, Any]] = {}
        self._damaged: list[Path] = []

    def load(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; None in a new run.

        What is damaged is told of, and set aside as `*.damaged` when the next one is written.

        Raises:
            ValueError: there are checkpoints, but not one that can be read.
        """
        self._damaged = []
        for path in self._newest_first():
            try:
                return load_checkpoint(path)
            except UnusableError as error:
                say(f"warning: {error}")
                self._damaged.append(path)
        if not self._damaged:
            return None
        raise ValueError(
            f"{self.folder}: none of its checkpoints can be read "
            f"({', '.join(path.name for path in self._damaged)}); restore one from a copy, or take "
            "another run= to begin anew"
        )

    def _newest_first(self) -> list[Path]:
        """All that a run can go on from, also those that an earlier start kept."""
        older = sorted(self.folder.glob("last-*.pt"), key=_number)
        for_good = sorted(self.folder.glob("step-*.pt"), key=_number, reverse=True)
        return [path for path in (self.last[0], *older, *for_good) if path.exists()]

    def due(self, step: int) -> bool:
        """Whether the checkpoint at an update is one that is kept for good."""
        return self.keep_every > 0 and step > 0 and step % self.keep_every == 0

    def save(self, step: int, content: dict[str, Any]) -> None:
        """Write the state after an update; the one before is kept as the policy says.

        Raises:
            OSError: the disk is full, or the like; what was saved before is still as it was.
        """
        if not is_main():
            return
        for path in list(self._unsaved):  # what `content` tells of must be there
            save_checkpoint(path, self._unsaved[path])
            del self._unsaved[path]
        # A kill between any two of these lines leaves the one before, from which all is done again.
        new = self.folder / "next.pt"
        save_checkpoint(new, content)
        if self.due(step):
            _name_too(new, self.folder / f"step-{step}.pt")
        for path in self._damaged:  # else one would take the place of one that is whole
            path.replace(path.with_name(path.name + ".damaged"))
        self._damaged = []
        if self.last[0].exists():
            for newer, older in reversed(list(zip(self.last, self.last[1:], strict=False))):
                if newer.exists():
                    newer.replace(older)
        new.replace(self.last[0])
        sync_folder(self.folder)

    def save_best(
        self, step: int, content: dict[str, Any], best: Sequence[tuple[float, int]]
    ) -> None:
        """Write weights that did well.

        best: word error rates and updates of the best validations, this one among them.

        Raises:
            OSError: as for `save`; the weights wait in memory, and `save` tries again.
        """
        if not is_main():
            return
        kept = {f"best-{step}.pt" for _, step in best} | {"best.pt"}
        names = [f"best-{step}.pt"] if self.keep_best > 1 else []
        names += ["best.pt"] if step == best[0][1] else []
        waiting = {path: c for path, c in self._unsaved.items() if path.name in kept}
        self._unsaved = waiting | {self.folder / name: content for name in names}
        try:
            for name in names:
                save_checkpoint(self.folder / name, content)
                del self._unsaved[self.folder / name]
        except OSError:
            weights = {k: v.to("cpu", copy=True) for k, v in content["weights"].items()}
            copy = content | {"weights": weights}  # training goes on
            self._unsaved = {p: copy if c is content else c for p, c in self._unsaved.items()}
            raise
        for path in self.folder.glob("best-*.pt"):
            if path.name not in kept:
                path.unlink()


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _name_too(path: Path, name: Path) -> None:
    """Another name for a file, where the file system can; else a copy."""
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:
        temporary = name.with_name(name.name + ".part")
        shutil.copyfile(path, temporary)
        temporary.replace(name)
