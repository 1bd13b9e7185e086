"""Tables: CSV, TSV and JSONL, columns by name or by custom, splits that share nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from asr.corpus.manifest import Utterance
from asr.corpus.table import Table

DEFAULTS: dict[str, Any] = {
    **{"path": None, "files": None, "audio_root": None, "columns": {}, "split_column": None},
    **{"hold_out": {}, "quoting": True, "seed": 1},
}


def rows(path: Path, split: str = "train", **options: Any) -> list[Utterance]:
    table = Table(**DEFAULTS | {"path": str(path)} | options)
    return list(table.utterances(split, path.parent))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_common_voice_of_2017(tmp_path: Path) -> None:
    text = 'filename,text,up_votes,age\ncv/a.mp3,"well, yes",3,\n/abs/b.mp3,no,1,teens\n'
    one, two = rows(written(tmp_path / "cv.csv", text))
    assert (one.id, one.audio, one.text) == ("cv/a", str(tmp_path / "cv/a.mp3"), "well, yes")
    assert (one.speaker, one.offset, one.duration) == (None, 0.0, 0.0)
    assert one.extra == {"up_votes": "3"}
    assert two.audio == "/abs/b.mp3"


def test_common_voice_of_today(tmp_path: Path) -> None:
    text = 'client_id\tpath\tsentence\tlocale\nff00\ta.mp3\t"""Well,"" he said."\ten\n'
    (one,) = rows(written(tmp_path / "validated.tsv", text), audio_root="clips")
    assert one.audio == str(tmp_path / "clips/a.mp3")
    assert (one.speaker, one.text) == ("ff00", '"Well," he said.')
    assert rows(tmp_path / "validated.tsv", audio_root="/far")[0].audio == "/far/a.mp3"


def test_nemo_manifest_with_slices(tmp_path: Path) -> None:
    lines = [
        {"audio_filepath": "a.wav", "duration": 2.5, "text": "one", "offset": 0.0, "lang": "en"},
        {"audio_filepath": "a.wav", "duration": 1.5, "text": "two", "offset": 2.5},
        {"audio_filepath": "b.wav", "duration": 9.9, "text": "whole"},
    ]
    path = written(tmp_path / "m.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    one, two, whole = rows(path)
    assert (one.offset, one.duration, one.extra) == (0.0, 2.5, {"lang": "en"})
    assert (two.offset, two.duration, two.id) == (2.5, 1.5, "a@2.500")
    assert whole.duration == 0.0, "without an offset the audio knows best"


def test_names_of_columns_are_options(tmp_path: Path) -> None:
    text = "wo;was\n"
    path = written(tmp_path / "t.csv", "text,wo,was,wer,von,nr\nkommentar,a.wav,hallo,max,0.5,7\n")
    columns = {"audio": "wo", "text": "was", "speaker": "wer", "offset": "von", "id": "nr"}
    (one,) = rows(path, columns=columns | {"duration": None})
    assert (one.audio, one.text, one.speaker) == (str(tmp_path / "a.wav"), "hallo", "max")
    assert (one.offset, one.id) == (0.5, "7")
    assert one.extra == {"text": "kommentar"}
    with pytest.raises(ValueError, match=r"among wo;was; corpus\.audio_column names it"):
        rows(written(tmp_path / "u.csv", text + "a.wav;hallo\n"))


def test_byte_order_mark_quoted_newlines_and_blank_lines(tmp_path: Path) -> None:
    text = 'filename,text\r\na.wav,"two\r\nlines"\r\n\r\nb.wav,plain\r\n'
    one, two = rows(written(tmp_path / "t.csv", text, "utf-8-sig"))
    assert (one.text, two.text) == ("two\r\nlines", "plain")


def test_quotes_that_are_text(tmp_path: Path) -> None:
    path = written(tmp_path / "t.tsv", 'path\tsentence\na.mp3\t"Yes" he said\nb.mp3\tno\n')
    with pytest.raises(ValueError, match=r"t\.tsv:2: .*corpus\.quoting=false"):
        rows(path)
    assert [u.text for u in rows(path, quoting=False)] == ['"Yes" he said', "no"]
    open_quote = written(tmp_path / "o.tsv", 'path\tsentence\na.mp3\t"Yes he said\nb.mp3\tno\n')
    with pytest.raises(ValueError, match=r"o\.tsv:3: .*corpus\.quoting=false"):
        rows(open_quote)  # and no row is swallowed


def table_of(path: Path, count: int, speakers: int | None = None) -> Path:
    head = "filename,text" + (",speaker" if speakers else "")
    lines = [
        f"{i}.wav,Sentence {i // 3}" + (f",s{i % speakers}" if speakers else "")
        for i in range(count)
    ]
    return written(path, "\n".join([head, *lines]) + "\n")


HELD_OUT = {"dev": 0.2, "test": 0.1}


def cut(path: Path, **options: Any) -> dict[str, list[Utterance]]:
    table = Table(**DEFAULTS | {"path": str(path), "hold_out": HELD_OUT} | options)
    assert table.splits == ("train", "dev", "test")
    return {split: list(table.utterances(split, path.parent)) for split in table.splits}


@pytest.mark.parametrize("speakers", [None, 100])
def test_held_out_splits_share_nothing(speakers: int | None, tmp_path: Path) -> None:
    splits = cut(table_of(tmp_path / "t.csv", 900, speakers))
    keys = {
        split: {u.speaker if speakers else u.text for u in some} for split, some in splits.items()
    }
    assert sum(map(len, splits.values())) == 900
    assert sum(map(len, keys.values())) == len(set.union(*keys.values()))
    assert len(splits["dev"]) == pytest.approx(180, rel=0.4)
    assert len(splits["test"]) == pytest.approx(90, rel=0.5)


def test_the_same_sentence_written_otherwise_is_the_same(tmp_path: Path) -> None:
    lines = [f"{i}.wav,{'Yes!' if i % 2 else 'yes'} {i // 2}" for i in range(200)]
    path = written(tmp_path / "t.csv", "\n".join(["filename,text", *lines]) + "\n")
    for some in cut(path).values():
        numbers = [int(u.id) for u in some]
        assert sorted(n ^ 1 for n in numbers) == sorted(numbers)


@pytest.mark.parametrize("speakers", [None, 30])
def test_rows_added_later_move_none_of_the_others(speakers: int | None, tmp_path: Path) -> None:
    few = cut(table_of(tmp_path / "few.csv", 300, speakers))
    many = cut(table_of(tmp_path / "many.csv", 600, speakers))
    for split, some in few.items():
        assert {u.id for u in some} <= {u.id for u in many[split]}
    other = cut(tmp_path / "few.csv", seed=2)
    assert {u.id for u in other["dev"]} != {u.id for u in few["dev"]}


def test_a_table_for_each_split(tmp_path: Path) -> None:
    files = {s: str(table_of(tmp_path / f"{s}.csv", n)) for s, n in (("train", 60), ("test", 5))}
    table = Table(**DEFAULTS | {"files": files, "hold_out": HELD_OUT})
    assert table.splits == ("train", "test", "dev")
    count = {s: len(list(table.utterances(s, tmp_path))) for s in table.splits}
    assert count["test"] == 5, "what the table names itself is not cut"
    assert count["train"] + count["dev"] == 60
    assert count["dev"] > 0


def test_a_split_column(tmp_path: Path) -> None:
    lines = "\n".join(f"{i}.wav,words,{('train', 'valid')[i % 2]}" for i in range(10))
    path = written(tmp_path / "t.csv", f"filename,text,set\n{lines}\n")
    table = Table(**DEFAULTS | {"path": str(path), "split_column": "set"})
    assert table.splits == ("train", "valid")
    assert [u.id for u in table.utterances("valid", tmp_path)] == ["1", "3", "5", "7", "9"]


def test_a_row_without_audio_is_counted_once(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "filename,text\n,lost\na.wav,found\n")
    table = Table(**DEFAULTS | {"path": str(path), "hold_out": {"dev": 0.5}})
    assert [u.text for s in table.splits for u in table.utterances(s, tmp_path)] == ["found"]
    assert dict(table.left_out) == {"its row names no audio": 1}
    assert table.left_out.examples["its row names no audio"] == [f"{path}:2"]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("t.xlsx", "", {}, r"must end in one of \.csv, \.tsv, \.jsonl"),
        (
            "t.csv",
            "a,text\n1,2\n",
            {},
            r"t\.csv:2: no column for the audio among a, text; corpus\.",
        ),
        (
            "t.csv",
            "path,b\n1,2\n",
            {},
            r"no column for the text among path, b; corpus\.text_column",
        ),
        ("t.csv", "path,text\n1,2\n", {"columns": {"speaker": "who"}}, "no column 'who' among"),
        ("t.csv", "path,text\n1,2\n", {"split_column": "part"}, "no column 'part' among"),
        ("t.csv", "path,text,s\n1,2,\n", {"split_column": "s"}, "t.csv:2: s names no split"),
        ("t.csv", "path,text,s\n1,2,../x\n", {"split_column": "s"}, r"'\.\./x' cannot name a file"),
        ("t.csv", "path,path,text\n1,2,3\n", {}, "a column occurs twice"),
        ("t.csv", "path,text\n1,2,3\n", {}, r"t\.csv:2: 3 fields where the header names 2"),
        ("t.csv", "path,text\n", {}, "the table has no rows"),
        ("t.csv", "", {}, "the table has no rows"),
        ("t.csv", "path,text,offset\n1,2,soon\n", {}, r"t\.csv:2: offset must be a number of sec"),
        ("t.csv", "path,text,offset\n1,2,-1\n", {}, r"offset must be a number .* not '-1'"),
        ("t.jsonl", '{"path": "a", "text": "b"}\n{"path"\n', {}, r"t\.jsonl:2: not a JSON object"),
        ("t.jsonl", "[1]\n", {}, r"t\.jsonl:1: not a JSON object"),
        ("t.jsonl", '{"path": "a", "text": "b"}\n{"path": "a"}\n', {}, r"t\.jsonl:2: no column"),
    ],
)
def test_mistakes_in_tables(
    name: str, text: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(ValueError, match=message):
        table = Table(**DEFAULTS | {"path": str(path)} | options)
        [list(table.utterances(split, tmp_path)) for split in table.splits]


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: no such table"):
        rows(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"latin\.csv: not UTF-8 text .*save it as UTF-8"):
        rows(written(tmp_path / "latin.csv", "path,text\na.wav,caf\u00e9\n", "latin-1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"give either corpus\.path=TABLE or corpus\.files"),
        ({"path": "a.csv", "files": {"train": "b.csv"}}, r"give either corpus\.path"),
        ({"files": {"train": "b.csv"}, "split_column": "s"}, "split_column goes with corpus.path"),
        ({"path": "a.csv", "columns": {"sound": "x"}}, "'sound' is unknown; choose from audio"),
        ({"path": "a.csv", "hold_out": {"dev": 1.5}}, "each share must lie between 0 and 1"),
        ({"path": "a.csv", "hold_out": {"dev": 0.5, "test": 0.5}}, "and so must their sum"),
    ],
)
def test_mistakes_in_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Table(**DEFAULTS | options)
