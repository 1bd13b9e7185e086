"""What does checking `ctc_loss`'s input cost? Its share of a whole training step, in one process.

    python benchmarks/contract_check.py [STEPS]

The step is the default model's (`deepspeech2`, 16 utterances of 4 to 6 s, forward, backward, no
loader); the check is run on that step's log-probabilities, over and over. Writes
`benchmarks/results/contract_check.json`.
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from machine import write_result

from asr.core.padded import Padded
from asr.ctc.loss import check_normalised, check_tokens
from asr.data.batch import Batch
from asr.objective.ctc import CTC
from asr.tokenizer.char import Char
from asr.wiring.command import CONFIGS
from asr.wiring.recognizer import build_recognizer
from asr.wiring.schema import register_schemas


def batch_of(utterances: int) -> Batch:
    """Noise of 4 to 6 seconds, and as many letters as people say in that time."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(4 * 16000, 6 * 16000, utterances).long()
    waveforms = [0.1 * torch.randn(int(n), generator=generator) for n in lengths]
    tokens = [torch.randint(1, 28, (int(n) // 1100,), generator=generator) for n in lengths]
    return Batch(
        tuple(map(str, range(utterances))), Padded.stack(waveforms), Padded.stack(tokens),
        ("",) * utterances, torch.arange(utterances),
    )  # fmt: skip


def median_seconds(function, times: int) -> float:
    """The median duration of a call, after one that warms up."""
    function()
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def main() -> None:
    """Measure and write."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train")
    recognizer = build_recognizer(config, Char("abcdefghijklmnopqrstuvwxyz '")).train()
    batch = batch_of(16)
    objective = CTC(intermediate_weight=0.0, entropy_weight=0.0)

    def step() -> None:
        recognizer.zero_grad()
        objective(recognizer, batch).nats.backward()

    log_probs = recognizer(batch.waveforms, batch.seeds)
    log_probs = Padded(log_probs.values.detach(), log_probs.lengths)

    def check() -> None:
        check_tokens(batch.tokens, log_probs.values.shape[2])
        check_normalised(log_probs, 1e-3)

    whole, part = median_seconds(step, steps), median_seconds(check, 100)
    write_result(
        Path(__file__).stem,
        step_seconds=round(whole, 4), check_seconds=round(part, 6), share=round(part / whole, 6),
        threads=torch.get_num_threads(), log_probs=list(log_probs.values.shape),
    )  # fmt: skip


if __name__ == "__main__":
    main()
