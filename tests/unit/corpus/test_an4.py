"""AN4's layout: big-endian samples, two forms of transcript, a development set by speaker."""

from pathlib import Path

import pytest

from asr.corpus.an4 import AN4

SPEAKERS = [f"f{i:03}" for i in range(20)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    etc = tmp_path / "an4" / "etc"
    etc.mkdir(parents=True)
    files = [f"an4_clstk/{s}/an{i}-{s}-b" for s in SPEAKERS for i in range(2)]
    lines = [f"<s> YES {i} </s> ({Path(f).name})" for i, f in enumerate(files)]
    (etc / "an4_train.fileids").write_text("\n".join(files) + "\n")
    (etc / "an4_train.transcription").write_text("\n".join(lines) + "\n")
    (etc / "an4_test.fileids").write_text("an4test_clstk/menk/cen1-menk-b\n")
    (etc / "an4_test.transcription").write_text("RUBOUT G M E F (cen1-menk-b)\n")
    return tmp_path


def speakers(corpus: AN4, split: str) -> set[str | None]:
    return {u.speaker for u in corpus.utterances(split, Path())}


@pytest.mark.parametrize("inside", [False, True])
def test_lines_become_utterances(inside: bool, root: Path) -> None:
    where = root / "an4" if inside else root
    (test,) = AN4(root=str(where), dev_speakers=2, seed=1).utterances("test", Path())
    assert (test.id, test.text, test.speaker) == ("cen1-menk-b", "RUBOUT G M E F", "menk")
    assert test.audio == str(root / "an4/wav/an4test_clstk/menk/cen1-menk-b.raw")
    assert test.raw == "s16be:16000:1"
    train = list(AN4(root=str(where), dev_speakers=2, seed=1).utterances("train", Path()))
    assert {u.text for u in train} <= {f"YES {i}" for i in range(40)}


def test_development_speakers_are_whole_stable_and_seeded(root: Path) -> None:
    chosen = {}
    for count in (3, 5):
        corpus = AN4(root=str(root), dev_speakers=count, seed=1)
        train, chosen[count] = speakers(corpus, "train"), speakers(corpus, "dev")
        assert train | chosen[count] == set(SPEAKERS)
        assert not train & chosen[count]
        assert len(chosen[count]) == count
        assert len(list(corpus.utterances("dev", Path()))) == 2 * count
    assert chosen[3] < chosen[5]
    assert speakers(AN4(root=str(root), dev_speakers=5, seed=2), "dev") != chosen[5]


def test_what_only_one_list_has_is_counted_once(root: Path) -> None:
    etc = root / "an4/etc"
    with (etc / "an4_train.fileids").open("a") as file:
        file.write("an4_clstk/f000/silent-f000-b\n")
    with (etc / "an4_train.transcription").open("a") as file:
        file.write("<s> NO </s> (unheard)\n")
    corpus = AN4(root=str(root), dev_speakers=2, seed=1)
    for split in corpus.splits:
        assert "silent-f000-b" not in {u.id for u in corpus.utterances(split, Path())}
    assert corpus.left_out.total() == 2
    named = [name for names in corpus.left_out.examples.values() for name in names]
    assert sorted(named) == ["silent-f000-b", "unheard"]


def test_mistakes(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.dev_speakers=0 must be at least 1"):
        AN4(root=None, dev_speakers=0, seed=1)
    with pytest.raises(ValueError, match=r"dev_speakers=20 leaves none of AN4's 20 speakers"):
        next(AN4(root=str(root), dev_speakers=20, seed=1).utterances("dev", Path()))
    with pytest.raises(ValueError, match=r"corpus\.root=.*: there is no AN4 here"):
        next(AN4(root=str(root / "an4/etc"), dev_speakers=2, seed=1).utterances("dev", Path()))
    etc = root / "an4/etc"
    with (etc / "an4_test.transcription").open("a") as file:
        file.write("no id here\n")
    with pytest.raises(ValueError, match=r"an4_test\.transcription:2: not .*'no id here'"):
        next(AN4(root=str(root), dev_speakers=2, seed=1).utterances("test", Path()))
    (etc / "an4_test.fileids").unlink()
    with pytest.raises(ValueError, match=r"an4_test\.fileids: no such file; AN4 is not whole"):
        next(AN4(root=str(root), dev_speakers=2, seed=1).utterances("test", Path()))
