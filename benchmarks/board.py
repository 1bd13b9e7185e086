"""What does it cost a training that TensorBoard shows pictures, sounds and tables of it?

    python benchmarks/board.py [overrides of asr.train]

Trains `experiment=an4` for two epochs (data/an4 must be prepared) and counts the processor's time
at each validation (pictures, which are part of it, tables, histograms, confidences), in writing
event files, and once a run for its beginning (augmented examples), against that of the whole
training. Pictures are drawn at each validation here, where a run lets them have 1 % of its time.
Writes `benchmarks/results/board.json`.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from machine import write_result

from asr.reporting import board
from asr.reporting.board import Board
from asr.scoring import score
from asr.training.assemble import assemble
from asr.training.curves import Curves
from asr.wiring.command import CONFIGS
from asr.wiring.run import learnt
from asr.wiring.schema import register_schemas

spent: Counter[str] = Counter()  # seconds of the processor


def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what it takes is added up."""

    def call(*arguments: Any, **options: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.thread_time() - began

    return call


class CountedBoard(Board):
    """The board, and what its parts take."""

    begin = counted("beginning", Board.begin)
    _pictures = counted("pictures", lambda *given: list(Board._pictures(*given)))
    __call__ = counted("validations", Board.__call__)


def main() -> None:
    """Train, count, write."""
    register_schemas()
    board._SHARE = 1.0  # of the time; so that each validation has its pictures
    score.word_confidences = counted("confidences", score.word_confidences)
    Curves.add = counted("events", Curves.add)  # type: ignore[method-assign]
    Curves.flush = counted("events", Curves.flush)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        usual = ["experiment=an4", "trainer.epochs=2", "threads=1", "device=cpu", f"runs={folder}"]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("train", overrides=[*usual, *sys.argv[1:]])
        torch.set_num_threads(1)
        trainer = assemble(config, "run", torch.device("cpu"), print)
        shown = CountedBoard(
            trainer.recognizer, trainer.data, trainer.folder, learnt(trainer.header["config"]), [],
            fresh=True, num_examples=config.trainer.num_examples,
        )  # fmt: skip
        began = time.process_time()
        trainer.fit(shown)
        total = time.process_time() - began
    each = spent["validations"] + spent["confidences"] + spent["events"]
    write_result(
        "board",
        question="processor seconds of what TensorBoard shows, against the whole training's",
        options=sys.argv[1:],
        updates=trainer.state.step,
        training_seconds=round(total, 2),
        seconds={name: round(seconds, 3) for name, seconds in sorted(spent.items())},
        share_without_the_beginning=round(each / total, 5),
        share=round((each + spent["beginning"]) / total, 5),
    )


if __name__ == "__main__":
    main()
