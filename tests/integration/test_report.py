"""asr.report, as a user calls it: what it shows is what was evaluated, and is all in one file."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from evaluations import EVIL, write_evaluation
from PIL import Image
from support import command

from asr.checking.sound import Sound
from asr.core.audio import load_waveform
from asr.corpus.manifest import Manifest, read_manifest, write_manifest
from asr.recognizer.recognizer import Recognizer
from asr.reporting.gather import Means, gather, output_path
from asr.reporting.report_page import report_page
from asr.scoring.comparison import compare
from asr.scoring.evaluation import open_sources, read_by_test_set
from asr.scoring.speech import checkpoint_of, manifest_of


def blocks(page: str) -> dict[str, Any]:
    """The data of a page by its id."""
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page)
    return {name: json.loads(text) for name, text in found}


def decoded(uri: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))


@pytest.fixture(scope="module")
def page(evaluated: Path) -> str:
    done = command("report", str(evaluated), "threads=1", "exhibits=5")
    assert done.returncode == 0, done.stderr
    assert f"written to {evaluated / 'report.html'}: " in done.stdout
    lines = re.findall(r"%[WC]ER \S+ \[.*?\]", done.stdout)
    text = (evaluated / "report.html").read_text()
    assert len(lines) == 2 and all(line in text for line in lines)
    return text


def test_every_utterance_with_what_was_heard(page: str, evaluated: Path) -> None:
    (file,) = evaluated.glob("evaluation/*/hypotheses.jsonl")
    scored = {h["id"]: h for h in map(json.loads, file.read_text().splitlines())}
    rows = blocks(page)["set-1-rows"]["rows"]
    assert {row["id"] for row in rows} == set(scored)
    for row in rows:
        columns = [[c, c] if isinstance(c, str) else c for c in row["said"]]
        said, heard = (" ".join(c[i] for c in columns if c[i]) for i in (0, 1))
        assert said == " ".join(scored[row["id"]]["reference"].split())
        assert heard == " ".join(scored[row["id"]]["hypothesis"].split())
    errors = [int(row["figures"][2]) for row in rows]
    assert errors == sorted(errors, reverse=True), "the worst first"
    assert EVIL not in page, "texts are no markup"


def test_sound_and_picture_are_the_utterances_own(page: str, evaluated: Path) -> None:
    found = blocks(page)
    rows = [row for row in found["set-1-rows"]["rows"] if row["exhibit"]]
    manifest = {u.id: u for u in read_manifest(evaluated.parent / "mine" / "test.jsonl")}
    assert len(rows) == 5 and f"5 of {len(manifest)} utterances are to hear" in page
    for row in rows:
        utterance, shown = manifest[row["id"]], found[row["exhibit"]]
        sound, rate = soundfile.read(decoded(shown["audio"]))
        original = load_waveform(utterance.audio, rate)
        assert len(sound) == len(original), "words would not lie where they sound"
        assert np.corrcoef(sound, original)[0, 1] > 0.95
        picture = Image.open(decoded(shown["picture"]))
        assert picture.width == pytest.approx(100 * shown["seconds"], abs=2)  # frames of 10 ms
        lanes = dict(shown["lanes"])
        assert list(lanes) == ["reference", "greedy"]
        if EVIL in utterance.text:
            assert lanes["reference"] == [] and "the alphabet does not hold" in shown["notes"][0]
            continue
        words = lanes["reference"]
        assert [word[0] for word in words] == utterance.text.split()
        times = [time for word in words for time in word[1:3]]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= shown["seconds"]


def test_the_same_evaluation_gives_the_same_bytes(page: str, evaluated: Path) -> None:
    done = command("report", str(evaluated), "threads=1", "exhibits=5")
    assert done.returncode == 0, done.stderr
    assert (evaluated / "report.html").read_text() == page


def no_model(path: Path) -> Recognizer:
    raise AssertionError(f"{path} is not needed")


def quiet(manifest: Manifest) -> list[Sound | str]:
    return [Sound(1.0, 1.0, 16000, loud_db=-20, quiet_db=-60, sounding=0.5) for _ in manifest]


def test_without_audio_it_says_so(tmp_path: Path) -> None:
    texts = [("one two", "one too"), ("three", "three")]
    for run in ("a", "b"):
        write_evaluation(tmp_path / run, texts, manifest=tmp_path / "gone.jsonl")
    write_evaluation(tmp_path / "b", [("x", "y")], test_set="other/test")
    sources = open_sources([tmp_path / "a", tmp_path / "b"])
    assert output_path(None, sources) == tmp_path / "b" / "report-against-a.html"
    with pytest.raises(ValueError, match="is a folder; name a file"):
        output_path(str(tmp_path), sources)
    comparisons = [compare(g, samples=9, seed=0) for g in read_by_test_set(sources, None, None)]
    means = Means(quiet, no_model, [], exhibits=5, max_seconds=30)
    chapters = [gather(comparison, means) for comparison in comparisons]
    for chapter, file in zip(chapters, ("gone.jsonl", "nowhere.jsonl"), strict=True):
        (note,) = chapter.notes
        assert note.startswith("Nothing to hear, and no levels:") and f"{file}: no longer" in note
    text = report_page("b against a", chapters, limit=10)
    assert "p = 1.0000" in text, "both heard the same"
    assert [blocks(text)[f"set-{n}-rows"]["names"] for n in (1, 2)] == [
        ["reference", "a", "b"], ["reference", "b"],
    ]  # fmt: skip


def test_a_moved_run_finds_its_checkpoint_and_named_audio(evaluated: Path, tmp_path: Path) -> None:
    (then,) = evaluated.glob("evaluation/*")
    moved = tmp_path / "moved" / "evaluation" / then.name
    shutil.copytree(then, moved)
    summary = json.loads((moved / "summary.json").read_text())
    summary |= {"manifest_file": "gone.jsonl", "checkpoint": "gone/best.pt"}
    (moved / "summary.json").write_text(json.dumps(summary))
    ((evaluation,),) = read_by_test_set(open_sources([tmp_path / "moved"]), None, None)
    manifest = evaluated.parent / "mine" / "test.jsonl"
    with pytest.raises(ValueError, match=r"gone\.jsonl: no longer there"):
        manifest_of(evaluation, [])
    assert [u.id for u in manifest_of(evaluation, [str(manifest)])] == [
        u.id for u in evaluation.utterances
    ]
    with pytest.raises(ValueError, match=r"gone/best\.pt and .*moved/best\.pt: there is no"):
        checkpoint_of(evaluation)
    shutil.copy(evaluated / "best.pt", tmp_path / "moved")
    assert checkpoint_of(evaluation) == tmp_path / "moved" / "best.pt"
    other = tmp_path / "mine" / "test.jsonl"
    write_manifest(other, list(read_manifest(manifest))[1:])
    with pytest.raises(ValueError, match="holds other utterances"):
        manifest_of(evaluation, [str(other)])


def test_mistakes() -> None:
    for arguments, message in (
        ([], "name a run: python -m asr.report"),
        (["runs/x", "exhibits=-1"], "exhibits=-1 must be at least 0"),
    ):
        done = command("report", *arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr and "Traceback" not in done.stderr
