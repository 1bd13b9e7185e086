"""A run is known by what it learns; test sets, whatever they are called and wherever they lie."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from asr.wiring.build import plain_config
from asr.wiring.run import check_no_test_set, check_same, run_name


def write(path: Path, *audio: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"audio_filepath": a, "duration": 1, "text": "a"}) for a in audio]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A run's, whose test sets have names that do not tell."""
    return {
        "data": {"test": [write(tmp_path / "held" / "out.jsonl", "a.wav", "b.wav")]},
        "corpus": {"test": [write(tmp_path / "secret.jsonl", "c.wav"), "moved/away.jsonl"]},
    }


@pytest.mark.parametrize(
    "name", ["test", "test-clean", "my_test", "TEST", "test2", "cv.test", "an4 test"]
)
def test_a_test_set_by_its_name(name: str, tmp_path: Path, config: dict[str, Any]) -> None:
    file = f"{name}.jsonl"  # need not exist
    with pytest.raises(ValueError, match=r"by its name\. .*force=true"):
        check_no_test_set([file], config, force=False)
    [warning] = check_no_test_set([file], config, force=True)
    assert file in warning and "unseen" in warning


@pytest.mark.parametrize("name", ["dev", "latest", "contest", "attested", "testament"])
def test_other_names(name: str, tmp_path: Path, config: dict[str, Any]) -> None:
    path = write(tmp_path / "test" / f"{name}.jsonl", "d.wav")
    assert check_no_test_set([path], config, force=False) == []


def test_the_runs_own_test_sets(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "held")
    dev = write(tmp_path / "dev.jsonl", "d.wav")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    for path in ("out.jsonl", "../secret.jsonl", "../link.jsonl"):
        with pytest.raises(ValueError, match="is a test set of the run's configuration"):
            check_no_test_set([dev, path], config, force=False)
        assert len(check_no_test_set([dev, path], config, force=True)) == 1


def test_a_copy_and_a_part_of_a_test_set(tmp_path: Path, config: dict[str, Any]) -> None:
    copy = tmp_path / "elsewhere" / "dev.jsonl"
    copy.parent.mkdir()
    shutil.copy(tmp_path / "secret.jsonl", copy)
    with pytest.raises(ValueError, match="holds the same as"):
        check_no_test_set([str(copy)], config, force=False)
    part = write(tmp_path / "dev.jsonl", "held/b.wav", "held/z.wav", str(tmp_path / "held/a.wav"))
    with pytest.raises(ValueError, match="shares 2 utterances"):
        check_no_test_set([part], config, force=False)


def test_a_missing_manifest_is_for_its_reader_to_say(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such manifest"):
        check_no_test_set(["nowhere.jsonl"], config, force=False)


def test_augmentations_in_another_order_are_another_run(
    compose_config: Callable[..., DictConfig],
) -> None:
    one, same, other = (
        plain_config(compose_config("train", f"augment=[{names}]", "trainer.num_examples=0"))
        for names in ("speed,noise,reverb", "speed,noise,reverb", "speed,reverb,noise")
    )
    check_same(one, same, "x")
    with pytest.raises(ValueError, match=r"augment, in order: \['speed', 'noise', 'reverb'\] -> "):
        check_same(other, one, "x")
    assert run_name(one, None) == run_name(same, None) != run_name(other, None)
