"""python -m asr.train: manifests -> runs/<run>/ with checkpoints, metrics and TensorBoard curves.

python -m asr.train experiment=spoken
python -m asr.train corpus=an4 model=wav2letter trainer.epochs=30 optimizer.lr=5e-4
python -m asr.train 'data.train=[mine.jsonl]' 'data.dev=[dev.jsonl]' init_from=runs/x/best.pt
"""

import shlex
import sys

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Train, or go on training: the same `run=` resumes."""
    from rich.console import Console

    from asr.training.assemble import assemble
    from asr.wiring.build import plain_config
    from asr.wiring.run import run_name

    say = Console(soft_wrap=True, highlight=False, markup=False).print
    if config.inputs:
        raise ValueError(f"asr.train takes key=value options only, not {list(config.inputs)}")
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    experiment = None if experiment in (None, "null") else experiment
    name = config.run or run_name(plain_config(config), experiment)
    trainer = assemble(config, name, say)
    code = trainer.fit()
    state = trainer.state
    if code == 0:
        say(f"done      {state.step} updates, {state.epoch} epochs, best dev WER "
            f"{100 * state.best_wer:.2f} %: {trainer.folder}/best.pt")  # fmt: skip
    else:
        say(f"resume    python -m asr.train {shlex.join(sys.argv[1:])}")
        sys.exit(code)


if __name__ == "__main__":
    run_command("train", main)
