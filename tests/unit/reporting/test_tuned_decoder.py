"""What a search leaves behind: a decoder's YAML, its trials, a picture, and advice."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.image import imread

from asr.reporting.tuned_decoder import check_output, edge_lines, tuning_lines, write_tuned
from asr.reporting.tuning_picture import draw_tuning
from asr.scoring.error_rate import ErrorCounts
from asr.scoring.tuning import FloatDistribution, IntDistribution, Trial, Tuning


def trial(words: int, **options: Any) -> Trial:
    halves = (words // 2, words - words // 2)
    counts = tuple(ErrorCounts(half, 0, 0, 50) for half in halves)
    return Trial(options, counts, tuple(ErrorCounts(w, 0, 0, 200) for w in halves))


@pytest.fixture
def tuning() -> Tuning:
    trials = [trial(12, lm_weight=0.6, word_score=1), trial(9, lm_weight=1.97, word_score=0.02)]
    return Tuning(trial(20), (*trials, trial(90, lm_weight=1, word_score=-1)), ("x", "y"))


def test_the_yaml_is_a_whole_decoder(
    tuning: Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lm.arpa", "lm"):
        Path(name).touch()
    given = {"_target_": "asr.decoder.beam.Beam", "lm": "lm.arpa", "lexicon": "lm",
             "lm_unit": "word", "lm_weight": 0.6, "word_score": 1,
             "hotwords": {"zoë": 5}}  # fmt: skip
    path = Path("x/decoder/tuned.yaml")
    write_tuned(tuning, given, path, dev="an4/dev", checkpoint=Path("best.pt"))
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text) == given | {
        "lm": str(tmp_path / "lm.arpa"), "lm_weight": 1.97, "word_score": 0.02,
    }  # fmt: skip
    assert list(yaml.safe_load(text)) == list(given)
    head = [line for line in text.splitlines() if line.startswith("# ")]
    assert "asr.tune" in head[0] and "zoë" in text
    for said in ("an4/dev", str(tmp_path / "best.pt"), *tuning_lines(tuning)):
        assert any(said in line for line in head)
    rows = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert [row["errors"] for row in rows] == [12, 9, 90]
    assert rows[1]["options"] == {"lm_weight": 1.97, "word_score": 0.02}
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "tuned.jsonl", "tuned.png", "tuned.yaml",
    ]  # fmt: skip


def test_what_is_said(tuning: Tuning) -> None:
    lines = tuning_lines(tuning)
    assert lines[0].startswith("greedy   %WER 20.00 [ 20 / 100")
    assert "12.00" in lines[1] and "lm_weight=0.6" in lines[1]
    assert "9.00" in lines[2] and "lm_weight=1.97 word_score=0.02" in lines[2]
    assert lines[3] == "gain over greedy 11.00, 95 % interval 10.00 to 12.00"
    assert lines[4] == "gain over untuned 3.00, 95 % interval 2.00 to 4.00"
    assert "flatter" in lines[5] and "2 speakers" in lines[5]


def test_an_option_that_was_left_to_the_decoder_is_null() -> None:
    only = trial(9, lm_weight=1, word_score=None)
    lines = tuning_lines(Tuning(trial(20), (only,), ("x", "y")))
    assert "lm_weight=1 word_score=null" in lines[1]


def test_what_does_not_beat_greedy_is_called_so(tuning: Tuning) -> None:
    worse = Tuning(trial(5), (trial(9, lm_weight=1),), ("x", "y"))
    assert any("beats greedy" in line for line in tuning_lines(worse))
    assert not any("beats greedy" in line for line in tuning_lines(tuning))


def test_a_best_value_at_an_end_of_its_range_is_named(tuning: Tuning) -> None:
    wide = {"lm_weight": FloatDistribution(0, 4), "word_score": FloatDistribution(0, 3)}
    assert edge_lines(tuning, wide) == []
    [line] = edge_lines(tuning, wide | {"lm_weight": FloatDistribution(0, 2)})
    assert line.startswith("lm_weight=1.97 lies at the edge of [0, 2]")
    [line] = edge_lines(tuning, wide | {"word_score": FloatDistribution(0.01, 3)})
    assert line.startswith("word_score=0.02")
    sized = Tuning(trial(9), (trial(9, beam_size=60),), (None, None))
    assert edge_lines(sized, {"beam_size": IntDistribution(1, 60)})


@pytest.mark.parametrize("name", ["tuned.yaml", "decoder/tuned.txt", "decoder", "decoder/x/y.yaml"])
def test_a_file_that_hydra_would_not_find(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a folder called decoder"):
        check_output(tmp_path / name)


def test_a_file_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decoder").mkdir()
    monkeypatch.chdir(tmp_path / "decoder")
    assert check_output(Path("mine.yaml"))


@pytest.mark.parametrize("searched", [1, 2, 3, 5])
def test_a_picture_of_any_number_of_options(searched: int, tmp_path: Path) -> None:
    names = ["lm_weight", "word_score", "beam_size", "beam_threshold", "token_threshold"]
    first = trial(9, **dict.fromkeys(names[:searched]))  # null is not drawn
    trials = [trial(8 - i, **{n: i + k for k, n in enumerate(names[:searched])}) for i in range(5)]
    draw_tuning(Tuning(trial(9), (first, *trials), (None, None)), "x", tmp_path / "p.png")
    height, width, _ = imread(tmp_path / "p.png").shape
    assert width == 825
    assert height == round(110 * (0.4 + 4.6 * (searched > 1) + 2.5 * -(-searched // 2)))


def test_equal_trials_are_drawn_too(tmp_path: Path) -> None:
    same = trial(9, lm_weight=1, word_score=1)
    draw_tuning(Tuning(trial(9), (same,), (None, None)), "x", tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000
