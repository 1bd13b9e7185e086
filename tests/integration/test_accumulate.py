"""data.accumulate=auto: found where memory is really short, kept when the run goes on."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from support import assert_same, metrics

from asr.core.checkpoint import load_checkpoint
from asr.training import accumulate
from asr.training.accumulate import chosen
from asr.training.trainer import Trainer

NewTrainer = Callable[..., Trainer]
STATUS = Path("/proc/self/status")
# One update an epoch holds all 160 utterances, so that it takes far more than what else there is.
LARGE = ["data.batch_seconds=1000", "data.max_utterances=160", "trainer.epochs=2", "augment=[]",
         "model=deepspeech2_tiny", "data.accumulate=auto"]  # fmt: skip

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="memory is limited as Linux can")


@contextmanager
def memory(margin: int) -> Iterator[None]:
    """While the block runs the process may take so many bytes more than it has."""
    now = 1024 * int(STATUS.read_text().partition("VmSize:")[2].split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + margin, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def pinned(trainer: Trainer) -> int:
    number = trainer.header["config"]["data"]["accumulate"]
    assert trainer.data.accumulate == number
    return int(number)


@pytest.mark.slow
def test_it_is_found_kept_and_the_same_as_the_number(
    new_trainer: NewTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.training.accumulate._SPARE", 0)  # of an address space: far too much
    new_trainer("first", *LARGE, "data.accumulate=1")  # all that is imported is
    with memory(200 << 20):
        found = new_trainer("found", *LARGE)
    number = pinned(found)
    assert 1 < number <= 160
    assert f"accumulate: {number}\n" in (tmp_path / "found/config.yaml").read_text()
    assert all(p.grad is None for p in found.recognizer.parameters())
    found.epochs = 1
    assert found.fit() == 0

    again = new_trainer("found", *LARGE)  # with all the memory of the machine
    assert pinned(again) == number
    assert again.fit() == 0
    assert again.state.out_of_memory == 0
    with pytest.raises(ValueError, match=rf"data.accumulate: {number} -> {2 * number}"):
        new_trainer("found", *LARGE, f"data.accumulate={2 * number}")

    typed = new_trainer("typed", *LARGE, f"data.accumulate={number}")
    assert typed.fit() == 0
    assert metrics(tmp_path / "found") == metrics(tmp_path / "typed")
    one, other = (load_checkpoint(tmp_path / n / "last.pt") for n in ("found", "typed"))
    for part in ("training", "weights"):
        assert_same(one[part], other[part], part)


def test_enough_memory_needs_one(new_trainer: NewTrainer) -> None:
    assert pinned(new_trainer("run", *LARGE)) == 1


def test_nothing_stays_of_what_is_tried(
    new_trainer: NewTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where it is tried in the process that trains."""
    monkeypatch.setattr(accumulate, "_fits_apart", accumulate._fits_here)
    states = []
    for number in ("1", "auto"):
        trainer = new_trainer(number, *LARGE, f"data.accumulate={number}")
        assert pinned(trainer) == 1
        assert all(p.grad is None for p in trainer.recognizer.parameters())
        states.append((trainer.recognizer.state_dict(), torch.random.get_rng_state()))
    assert_same(*states)
    trial = accumulate._Trial(
        trainer.recognizer, trainer.gradients.objective, "float32", [], aside=1 << 50
    )
    assert not accumulate._fits_here(trial)


@pytest.mark.slow
def test_too_little_memory_for_anything_is_told(
    new_trainer: NewTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        memory(200 << 20),  # a tenth of the whole address space is more than that
        monkeypatch.context() as patch,
        pytest.raises(ValueError, match=r"accumulate=auto: .*data\.max_seconds"),
    ):
        patch.setattr("asr.training.accumulate._SPARE", 1.0)
        new_trainer("run", *LARGE, "data.max_utterances=2")


@pytest.mark.parametrize("nonsense", ["Auto", "0", "-1", "1.5", "true", "null", "[1]"])
def test_nonsense_is_refused(nonsense: str, new_trainer: NewTrainer) -> None:
    with pytest.raises(ValueError, match=r"data\.accumulate=.* or auto"):
        new_trainer("run", f"data.accumulate={nonsense}")


def test_what_is_typed_is_what_is_taken_but_for_auto() -> None:
    assert [chosen("auto", None), chosen("auto", 4), chosen(2, 4)] == ["auto", 4, 2]
