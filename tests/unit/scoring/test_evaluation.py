"""Evaluations are found where `asr.evaluate` leaves them, and only the same are compared."""

import json
from pathlib import Path

import pytest
from evaluations import write_evaluation

from asr.scoring.evaluation import common_keys, open_sources, read_group

TEXTS = [("a b c", "a x c"), ("d", "d"), ("", "e")]


def keys(*paths: Path, test_sets: list[str] | None = None, decoders: list[str] | None = None):
    return common_keys(open_sources(paths), test_sets, decoders)


def test_runs_folders_and_single_evaluations_hold_the_same(tmp_path: Path) -> None:
    one = write_evaluation(tmp_path / "a", TEXTS, speakers=["x", None, "y"])
    two = write_evaluation(tmp_path / "b", TEXTS)
    for paths in ([tmp_path / "a", tmp_path / "b"], [one.parent, two.parent], [one, two]):
        sources = open_sources(paths)
        (key,), missing = common_keys(sources, None, None)
        group = read_group(sources, key)
        assert not missing
        assert [e.folder for e in group] == [one, two]
        assert [(u.reference, u.hypothesis) for u in group[0].utterances] == TEXTS
        assert [u.speaker for u in group[0].utterances] == ["x", None, "y"]
        assert [u.words.errors for u in group[0].utterances] == [1, 0, 1]


def test_names_are_as_short_as_tells_them_apart(tmp_path: Path) -> None:
    paths = [write_evaluation(tmp_path / name, TEXTS) for name in "ab"]
    assert [s.name for s in open_sources([tmp_path / "a", tmp_path / "b"])] == ["a", "b"]
    names = [s.name for s in open_sources(paths)]
    assert names == ["a/evaluation/mine-test", "b/evaluation/mine-test"]
    assert [s.name for s in open_sources([tmp_path / "a"] * 2)] == ["a (1)", "a (2)"]


def test_what_all_have_is_compared_and_the_rest_is_named(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for run in (a, b):
        write_evaluation(run, TEXTS)
    beam = write_evaluation(a, TEXTS, decoder="beam")
    write_evaluation(b, TEXTS, test_set="mine/dev")
    common, missing = keys(a, b)
    assert common == [("mine/test", "greedy")]
    assert len(missing) == 2
    command = f"python -m asr.evaluate checkpoint={b} decoder=beam decoder.lm=words.arpa"
    assert any(f"{command} mine/test.jsonl" in line for line in missing)
    assert any(f"checkpoint={a} mine/dev.jsonl" in line for line in missing)
    assert keys(a, b, decoders=["greedy"], test_sets=["mine/test"]) == (common, [])
    with pytest.raises(ValueError, match=r"b: no evaluation of mine/test by beam.*decoder=beam"):
        keys(a, b, decoders=["beam"])
    with pytest.raises(ValueError, match=r"choose nothing; there are mine/test by greedy, mine/t"):
        keys(a, b, test_sets=["other"])
    # An evaluation that is named itself is held against any decoder, on its own test set.
    assert keys(beam, b) == ([("mine/test", "greedy")], [])
    assert keys(beam, a / "evaluation" / "mine-test") == ([("mine/test", None)], [])


def test_nothing_in_common(tmp_path: Path) -> None:
    one = write_evaluation(tmp_path / "a", TEXTS)
    two = write_evaluation(tmp_path / "b", TEXTS, test_set="mine/dev")
    with pytest.raises(ValueError, match=r"asr.evaluate checkpoint=.*/b mine/test.jsonl"):
        keys(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="not an evaluation of mine/test, as another"):
        keys(one, two)


def test_a_run_that_was_not_evaluated(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a", TEXTS)
    (tmp_path / "new run").mkdir()
    with pytest.raises(ValueError, match=r"python -m asr.evaluate 'checkpoint=.*new run'"):
        keys(tmp_path / "a", tmp_path / "new run")
    with pytest.raises(ValueError, match="c: no such folder"):
        keys(tmp_path / "a", tmp_path / "c")
    with pytest.raises(ValueError, match="two runs or more"):
        keys(tmp_path / "a")


def test_two_manifests_of_one_name_must_be_told_apart(tmp_path: Path) -> None:
    one = write_evaluation(tmp_path / "a", TEXTS)
    one.rename(one.with_name("mine-test-again"))
    write_evaluation(tmp_path / "a", TEXTS)
    sources = open_sources([tmp_path / "a"] * 2)
    with pytest.raises(ValueError, match=r"2 evaluations of test sets called mine/test; name one"):
        read_group(sources, common_keys(sources, None, None)[0][0])


@pytest.mark.parametrize(
    ("texts", "ids", "message"),
    [
        (TEXTS[:2], None, "3 and 2 utterances; only one has utterance u2"),
        (TEXTS, ["u0", "u2", "u1"], "ordered apart"),
        ([("a b d", "a"), *TEXTS[1:]], None, "reference of u0 is 'a b c' and 'a b d'"),
    ],
)
def test_other_references_are_refused(
    tmp_path: Path, texts: list, ids: list[str] | None, message: str
) -> None:
    write_evaluation(tmp_path / "a", TEXTS)
    write_evaluation(tmp_path / "b", texts, ids=ids)
    sources = open_sources([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ValueError, match=rf"not of the same mine/test: .*{message}.*Evaluate both"):
        read_group(sources, ("mine/test", "greedy"))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("hypotheses.jsonl", lambda t: t.replace('"x"', '"y"', 1)[:-9], r"jsonl:3: not an utt"),
        ("hypotheses.jsonl", lambda t: t.replace("a x c", "a b c"), r"jsonl:1: .* its counts"),
        ("hypotheses.jsonl", lambda t: t.replace('"d"', "[]"), r"jsonl:2: not an utterance"),
        ("hypotheses.jsonl", lambda t: t.replace('"d"', r'"\ud800"'), r"jsonl:2: not an utter"),
        ("hypotheses.jsonl", lambda t: "[" * 100_000, r"jsonl:1: not an utterance"),
        ("summary.json", lambda t: t[:40], "not the summary"),
        ("summary.json", lambda t: json.dumps({"manifest": 3}), "not the summary"),
        ("summary.json", lambda t: "[]", "not the summary"),
    ],
)
def test_damaged_files(tmp_path: Path, file: str, damage, message: str) -> None:
    folder = write_evaluation(tmp_path / "a", TEXTS)
    content = (folder / file).read_text()
    (folder / file).write_text(damage(content))
    with pytest.raises(ValueError, match=message):
        open_sources([folder, folder])[0].read(("mine/test", "greedy"))


def test_a_summary_without_hypotheses(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "a", TEXTS)
    (folder / "hypotheses.jsonl").unlink()
    with pytest.raises(ValueError, match="no such file beside its summary"):
        open_sources([folder, folder])[0].read(("mine/test", "greedy"))
