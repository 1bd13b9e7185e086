"""Checkpoints are whole or absent, and run no code."""

import pickle
from pathlib import Path

import pytest
import torch

from asr.core.checkpoint import load_checkpoint, save_checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    content = {"weights": {"a": torch.arange(3)}, "config": {"x": [1, "two", None, 0.5]}}
    save_checkpoint(tmp_path / "new" / "a.pt", content)
    loaded = load_checkpoint(tmp_path / "new" / "a.pt")
    assert torch.equal(loaded["weights"]["a"], torch.arange(3))
    assert loaded["config"] == content["config"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"weights": 1})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        save_checkpoint(tmp_path / "a.pt", {"weights": lambda: None})
    assert load_checkpoint(tmp_path / "a.pt")["weights"] == 1


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.path,))


def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"format": "asr-checkpoint", "x": Hostile(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="run code"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_other_kinds_are_told_apart(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    torch.save({"format": "asr-checkpoint", "version": 99}, tmp_path / "newer.pt")
    (tmp_path / "text.pt").write_text("hello")
    kinds = {"other": "another kind", "newer": "newer version", "text": "not a checkpoint"}
    for name, words in (kinds | {"absent": "no such checkpoint"}).items():
        with pytest.raises(ValueError, match=rf"{name}\.pt.*{words}"):
            load_checkpoint(tmp_path / f"{name}.pt")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_cut_file_is_one_clear_error(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"weights": torch.randn(500)})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"a\.pt"):
        load_checkpoint(path)
