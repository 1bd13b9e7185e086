"""Preparing: what becomes an utterance, what is left out and why, and manifests that are whole."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.corpus.base import Corpus
from asr.corpus.manifest import Utterance, read_manifest
from asr.corpus.preparation import prepare
from asr.corpus.report import Report, histogram, render
from asr.engine.local import Local


class Given(Corpus):
    """Splits that a test writes down."""

    def __init__(self, **splits: list[Utterance]) -> None:
        super().__init__()
        self.given = splits

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.given)

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        yield from self.given[split]


def wav(folder: Path, name: str, seconds: float, rate: int = 16000) -> str:
    samples = np.random.default_rng([1]).normal(0, 0.1, round(seconds * rate))
    soundfile.write(folder / name, samples, rate)
    return str(folder / name)


def prepared(corpus: Corpus, folder: Path, **settings: str) -> Report:
    options = {"case": "lower", "punctuation": "'"} | settings
    return prepare(corpus, folder, Local(workers=1), sample_rate=16000, **options)  # type: ignore[arg-type]


def test_texts_are_normalised_and_durations_are_read(tmp_path: Path) -> None:
    audio = wav(tmp_path, "a.wav", 1.25)
    (tmp_path / "b.raw").write_bytes(b"\0\1" * 8000)
    corpus = Given(
        train=[
            Utterance(
                "a",
                audio,
                0.0,
                "Don\u2019t, STOP!",
                speaker="x",
                extra={"mood": "calm", "text": "raw"},
            ),
            Utterance("b", str(tmp_path / "b.raw"), 0.0, "Go", raw="s16be:16000:1"),
            Utterance("c", audio, 0.5, "part", offset=0.25),
            Utterance("d", audio, 0.0, "rest", offset=0.25),
            Utterance("e", audio, 1.05, "rounded", offset=0.25),
        ]
    )
    prepared(corpus, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out/train.jsonl")
    assert [u.text for u in manifest] == ["don't stop", "go", "part", "rest", "rounded"]
    assert manifest.durations.tolist() == [1.25, 0.5, 0.5, 1.0, 1.0]
    assert manifest[0].extra == {"mood": "calm"}
    assert manifest[0].speaker == "x"
    assert manifest[1].raw == "s16be:16000:1"


def test_what_is_of_no_use_is_left_out_counted_and_named(tmp_path: Path) -> None:
    good = wav(tmp_path, "good.wav", 1.0)
    empty, broken, none = (str(tmp_path / n) for n in ("empty.wav", "broken.wav", "none.wav"))
    soundfile.write(empty, np.zeros(0), 16000)
    Path(broken).write_bytes(b"what is this")
    corpus = Given(
        train=[
            Utterance("good", good, 0.0, "yes"),
            Utterance("silent", good, 0.0, " -- ! "),
            Utterance("missing", none, 0.0, "yes"),
            Utterance("empty", empty, 0.0, "yes"),
            Utterance("broken", broken, 0.0, "yes"),
            Utterance("beyond", good, 0.5, "yes", offset=0.8),
            Utterance("far beyond", good, 0.0, "yes", offset=2.0),
            Utterance("milliseconds", good, 1000.0, "yes"),
            Utterance("good", good, 0.0, "again"),
        ],
        dev=[Utterance("good", good, 0.0, "yes")],
    )
    report = prepared(corpus, tmp_path / "out")
    assert [u.text for u in read_manifest(tmp_path / "out/train.jsonl")] == ["yes"]
    left_out = report.splits["train"].left_out
    assert {reason.split(" (")[0]: count for reason, (count, _) in left_out.items()} == {
        "its text is empty after normalisation": 1,
        "its audio is missing": 1,
        "its audio cannot be read or is empty": 2,
        "its slice reaches beyond the end of its audio": 3,
        "its id came before": 1,
    }
    page = render(report)
    for name in ("silent", "missing", "empty", "broken", "beyond", "far beyond", "milliseconds"):
        assert name in page
    assert not report.splits["dev"].left_out, "what a split left out is not another's"


def test_the_report_counts(tmp_path: Path) -> None:
    one, two = wav(tmp_path, "1.wav", 1.0), wav(tmp_path, "2.flac", 3.0, rate=44100)
    corpus = Given(
        train=[Utterance("1", one, 0.0, "Ab, ab!", "x"), Utterance("2", two, 0.0, "b", "y")],
        dev=[Utterance("3", one, 0.0, "ab ab", "x"), Utterance("4", one, 0.0, "z 7")],
    )
    report = prepared(corpus, tmp_path / "out")
    train = report.splits["train"]
    assert (train.utterances, train.speakers, train.words, train.vocabulary) == (2, 2, 3, 2)
    assert report.splits["dev"].speakers == 1
    assert train.hours == pytest.approx(4 / 3600)
    assert train.seconds == pytest.approx((1, 2, 3))
    assert train.characters == {"b": 3, "a": 2, " ": 1}
    assert train.removed == {"!": 1, ",": 1}
    assert train.formats == {"flac 44100 Hz 1 ch": 1, "wav 16000 Hz 1 ch": 1}
    assert [(s.splits, s.speakers, s.sentences) for s in report.shared] == [
        (("train", "dev"), 1, 1)
    ]
    rate, digits, unknown = report.warnings
    assert "1 at 44100 Hz, not 16000 Hz" in rate and "ffmpeg" in rate
    assert "1 digits" in digits
    assert "the characters 7 z do not occur in train" in unknown
    saved = json.loads((tmp_path / "out/report.json").read_text())
    assert saved["splits"]["train"]["characters"] == train.characters
    page = render(report)
    for shown in ("44100 Hz", "train and dev: 1 speakers", "b 3, a 2, space 1", "warning"):
        assert shown in page


def test_text_settings_are_used(tmp_path: Path) -> None:
    audio = wav(tmp_path, "a.wav", 1.0)
    corpus = Given(train=[Utterance("a", audio, 0.0, "Well-known.")])
    prepared(corpus, tmp_path / "out", case="upper", punctuation="-")
    assert read_manifest(tmp_path / "out/train.jsonl")[0].text == "WELL-KNOWN"


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    corpus = Given(train=[Utterance("a", wav(tmp_path, "a.wav", 1.0), 0.0, "yes")])
    first = prepared(corpus, tmp_path / "out")
    content = (tmp_path / "out/train.jsonl").read_bytes()
    assert prepared(corpus, tmp_path / "out") == first
    assert (tmp_path / "out/train.jsonl").read_bytes() == content
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"train.jsonl", "report.json"}


def test_a_split_of_which_nothing_is_left(tmp_path: Path) -> None:
    corpus = Given(dev=[Utterance("a", str(tmp_path / "none.wav"), 0.0, "yes")])
    with pytest.raises(ValueError, match=r"'dev' has no utterance of use.*\n.*1 left out.*missing"):
        prepared(corpus, tmp_path / "out")
    with pytest.raises(ValueError, match=r"names none for it.*corpus\.hold_out="):
        prepared(Given(test=[]), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.jsonl*"))


def test_a_failure_leaves_the_manifest_that_stood(tmp_path: Path) -> None:
    audio = wav(tmp_path, "a.wav", 1.0)
    prepared(Given(train=[Utterance("a", audio, 0.0, "yes")]), tmp_path / "out")
    before = (tmp_path / "out/train.jsonl").read_bytes()

    class Failing(Given):
        def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
            yield Utterance("b", audio, 0.0, "no")
            raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match="the disk is gone"):
        prepared(Failing(train=[]), tmp_path / "out")
    assert (tmp_path / "out/train.jsonl").read_bytes() == before


def test_manifests_can_move_with_their_audio(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    corpus = Given(train=[Utterance("a", wav(tmp_path / "one", "a.wav", 1.0), 0.0, "yes")])
    prepared(corpus, tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "two")
    assert Path(read_manifest(tmp_path / "two/train.jsonl")[0].audio).is_file()


@pytest.mark.parametrize(
    ("seconds", "bins"),
    [
        (
            [0.1, 0.2, 1.0],
            [(0.0, 0.25, 2), (0.25, 0.5, 0), (0.5, 0.75, 0), (0.75, 1, 0), (1, 1.25, 1)],
        ),
        ([7.0, 7.9], [(7, 8, 2)]),
        ([59.0, 12.0], [(10 + 5 * i, 15 + 5 * i, int(i in (0, 9))) for i in range(10)]),
        ([0.5, 90_000.0], None),
    ],
)
def test_histogram(seconds: list[float], bins: list[tuple[float, float, int]] | None) -> None:
    found = histogram(seconds)
    assert bins is None or found == bins
    assert sum(count for *_, count in found) == len(seconds)
    assert len(found) <= 26
