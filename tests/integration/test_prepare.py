"""python -m asr.prepare, from the command line to manifests, on real speech too."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from support import REPOSITORY, command

from asr.corpus.manifest import Manifest, read_manifest
from asr.prepare import main


@pytest.fixture
def prepare(
    compose_config: Callable[..., DictConfig], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """prepare("corpus=tones", ...): what the command prints; manifests go to tmp_path."""

    def printed(*arguments: str) -> str:
        main(compose_config("prepare", f"folder={tmp_path}", *arguments))
        output, errors = capfd.readouterr()
        assert not errors, "no progress where nobody looks"
        return output

    return printed


def manifests(folder: Path) -> dict[str, Manifest]:
    return {path.stem: read_manifest(path) for path in folder.glob("*.jsonl")}


def test_the_report_is_shown_and_kept(prepare: Callable[..., str], tmp_path: Path) -> None:
    page = prepare("corpus=tones")
    folder = tmp_path / "tones"
    report = json.loads((folder / "report.json").read_text())
    assert {s: len(m) for s, m in manifests(folder).items()} == {
        split: counted["utterances"] for split, counted in report["splits"].items()
    }
    assert page.splitlines()[0] == f"{folder}: train.jsonl, dev.jsonl, test.jsonl"
    for title in ("utterances by seconds", "Characters", "Removed", "Audio", "Left out", "Shared"):
        assert title in page


def test_spoken_is_made_by_processes_and_only_once(
    prepare: Callable[..., str], tmp_path: Path
) -> None:
    few = [f"corpus.source.num_{split}=2" for split in ("train", "dev", "test")]
    first = prepare(*few, "corpus.source.num_workers=2")
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.flac")}
    assert len(made) == 6
    assert prepare(*few) == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.flac")} == made


def test_ctrl_c_leaves_no_manifest(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "asr.prepare", f"folder={tmp_path}"]
    process = subprocess.Popen(
        arguments, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A shell's background job ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list(tmp_path.rglob("*.flac")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.jsonl*"))


def test_a_mistyped_option_gets_one_clear_message(tmp_path: Path) -> None:
    done = command("prepare", f"folder={tmp_path}", "text.cas=lower")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "text.case" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["corpus=an4", "corpus.root=/nowhere"], r"/nowhere: .*leave corpus\.root out"),
        (["corpus=librispeech", "corpus.root=/nowhere"], "/nowhere: no such folder"),
        (["corpus=table"], r"corpus\.path=TABLE"),
        (["corpus=table", "corpus.path=/no.csv"], r"/no\.csv: no such table"),
        (["inputs=[mine.csv]"], r"'mine\.csv'.* corpus=table"),
        (["corpus=tones", "text.case=Lower"], r"text\.case='Lower'.* lower, upper or keep"),
    ],
)
def test_mistakes(typed: list[str], message: str, prepare: Callable[..., str]) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(*typed)


def speakers(manifest: Manifest) -> set[str | None]:
    return {utterance.speaker for utterance in manifest}


def test_an4(shared_data: Path, prepare: Callable[..., str], tmp_path: Path) -> None:
    prepare("corpus=an4", f"corpus.root={shared_data / 'an4'}")
    splits = manifests(tmp_path / "an4")
    train, dev, test = splits["train"], splits["dev"], splits["test"]
    assert len(train) + len(dev) == 948
    assert len(test) == 130
    assert 60 * (train.hours + dev.hours) == pytest.approx(42.4, abs=0.05)
    assert 60 * test.hours == pytest.approx(5.95, abs=0.005)
    assert len(speakers(dev)) == 8
    assert len(speakers(train)) == 66
    assert not speakers(train) & speakers(dev)
    assert {u.text for u in train} >= {"yes", "go"}


def test_librispeech_by_speaker(
    shared_data: Path, prepare: Callable[..., str], tmp_path: Path
) -> None:
    prepare("corpus=librispeech_small", f"corpus.root={shared_data}")
    splits = manifests(tmp_path / "librispeech_small")
    assert speakers(splits["dev"]) == {"174", "777", "1993", "2277"}
    assert not speakers(splits["train"]) & speakers(splits["dev"])
    assert len(splits["train"]) + len(splits["dev"]) == 367 + 1079
    assert splits["train"].hours == pytest.approx(2.8, abs=0.05)


def test_common_voice_as_a_table(
    shared_data: Path, prepare: Callable[..., str], tmp_path: Path
) -> None:
    path = shared_data / "common_voice" / "cv-valid-dev.csv"
    prepare("corpus=table", "corpus.name=common_voice", f"corpus.path={path}")
    splits = manifests(tmp_path / "common_voice")
    assert sum(map(len, splits.values())) == 3000
    assert sum(m.hours for m in splits.values()) == pytest.approx(3.57, abs=0.005)
    texts = [{u.text for u in m} for m in splits.values()]
    assert len(set.union(*texts)) == sum(map(len, texts)) == 2343
