"""The first losses of every model on tones stay what they were (`make golden` records anew)."""

from collections.abc import Callable

import pytest
from support import loss, small_model, variants

from asr.training.trainer import Trainer


@pytest.mark.parametrize("model", variants("model"))
def test_first_losses(
    model: str,
    new_trainer: Callable[..., Trainer],
    golden: Callable[[str, list[float]], list[float]],
) -> None:
    # Dropout's draws differ by CPU, and AdamW's first steps make much of what rounding left.
    trainer = new_trainer("run", *small_model(model), "model.dropout=0", "optimizer=sgd")
    plan = trainer.data.plan(0)
    losses = [
        loss(trainer.train_step(update, i / len(plan)))
        for i, update in enumerate(trainer.data.updates(plan[:6]))
    ]
    assert losses == pytest.approx(golden(f"losses_{model}", losses), rel=1e-3)
