"""python -m asr.train: manifests -> runs/<run>/ with checkpoints, metrics and TensorBoard curves.

python -m asr.train experiment=spoken
python -m asr.train corpus=an4 model=wav2letter trainer.epochs=30 optimizer.lr=5e-4
python -m asr.train 'data.train=[mine.jsonl]' 'data.dev=[dev.jsonl]' init_from=runs/x/best.pt
torchrun --nproc-per-node=8 -m asr.train ...        # the same run on 8 GPUs, or 8 processes
"""

import os
import shlex
import sys
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Train, or go on training: the same `run=` resumes."""
    from asr.core.distributed import process_group
    from asr.wiring.build import plain_config
    from asr.wiring.recognizer import choose_device
    from asr.wiring.run import run_name

    if config.inputs:
        raise ValueError(f"asr.train takes key=value options only, not {list(config.inputs)}")
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    experiment = None if experiment in (None, "null") else experiment
    name = config.run or run_name(plain_config(config), experiment)
    device = choose_device(config.device, config.threads)
    with process_group(device, patience=4 * config.data.worker_timeout):
        code = _train(config, name, device)
    if code:  # else a sweep would end with its first run
        sys.exit(code)


def _train(config: DictConfig, name: str, device: Any) -> int:
    """In a function of its own: nothing of a run outlives the processes' group."""
    from asr.core.progress import say
    from asr.reporting.board import Board
    from asr.training.assemble import assemble
    from asr.wiring.run import learnt

    trainer = assemble(config, name, device, say)
    board = Board(
        trainer.recognizer, trainer.data, trainer.folder, learnt(trainer.header["config"]),
        sys.argv[1:], fresh=not trainer.state.validated, num_examples=config.trainer.num_examples,
    )  # fmt: skip
    code = trainer.fit(board)
    state = trainer.state
    if not trainer.stopping:
        say(f"done      {state.step} updates, {state.epoch} epochs, best dev WER "
            f"{100 * state.best_wer:.2f} %: {trainer.folder}/best.pt")  # fmt: skip
    else:
        several = f"torchrun --nproc-per-node={os.environ.get('LOCAL_WORLD_SIZE', '1')}"
        start = several if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "python"
        say(f"resume    {start} -m asr.train {shlex.join(sys.argv[1:])}")
    return code


if __name__ == "__main__":
    run_command("train", main)
