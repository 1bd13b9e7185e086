"""What does it cost a training that TensorBoard shows pictures, sounds and tables of it?

    python benchmarks/board.py [overrides of asr.train]

Trains `experiment=an4` for two epochs (data/an4 must be prepared) and counts the processor's time
in the board (pictures, tables, histograms), in keeping what it shows while scoring, and in writing
event files, against that of the whole training. Pictures may be drawn at each validation here,
however often, so that the figure is that of the dearest case. Writes
`benchmarks/results/board.json`.
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


def main() -> None:
    """Train, count, write."""
    register_schemas()
    with tempfile.TemporaryDirectory() as folder:
        usual = ["experiment=an4", "trainer.epochs=2", "threads=1", "device=cpu", f"runs={folder}"]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("train", overrides=[*usual, *sys.argv[1:]])
        torch.set_num_threads(1)
        trainer = assemble(config, "run", torch.device("cpu"), print)
        shown = Board(
            trainer.recognizer, trainer.data, trainer.folder, learnt(trainer.header["config"]), [],
            fresh=True, num_examples=config.trainer.num_examples,
        )  # fmt: skip
        board._SHARE = 1.0
        shown._pictures = counted("pictures", lambda *a: list(Board._pictures(shown, *a)))  # type: ignore[method-assign]
        shown.begin = counted("beginning", shown.begin)  # type: ignore[method-assign]
        score.word_confidences = counted("confidences", score.word_confidences)
        Curves.add = counted("events", Curves.add)  # type: ignore[method-assign]
        Curves.flush = counted("events", Curves.flush)  # type: ignore[method-assign]

        def whole(*arguments: Any, **options: Any) -> Any:
            return Board.__call__(shown, *arguments, **options)

        whole.begin = shown.begin  # type: ignore[attr-defined]
        began = time.process_time()
        measured = counted("board", whole)
        measured.begin = shown.begin  # type: ignore[attr-defined]
        trainer.fit(measured)  # type: ignore[arg-type]
        total = time.process_time() - began
    extra = spent["board"] + spent["beginning"] + spent["confidences"]
    write_result(
        "board",
        question="processor seconds of what TensorBoard shows, against the whole training's",
        options=sys.argv[1:],
        updates=trainer.state.step,
        training_seconds=round(total, 2),
        seconds={name: round(seconds, 3) for name, seconds in sorted(spent.items())},
        share_of_pictures_tables_and_beginning=round(extra / total, 5),
        share_of_all_with_curves=round((extra + spent["events"]) / total, 5),
    )


if __name__ == "__main__":
    main()
