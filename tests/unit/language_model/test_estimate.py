"""Counting text and the options of estimation: what is counted, and what is refused and how."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from slow_ngram import grams

from asr.language_model.base import END, START, UNKNOWN
from asr.language_model.counts import Counts, count_text
from asr.language_model.estimate import estimate
from asr.language_model.sentences import SPACE, Units, read_sentences

RAW = Units(normalise=False)
FALLBACK = [0.5, 1, 1.5]


@pytest.fixture
def text(tmp_path: Path) -> Callable[..., Path]:
    def written(content: str | bytes, name: str = "text.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def as_counter(counts: Counts) -> Counter[tuple[str, ...]]:
    """n-grams as tuples of words, read back through their histories."""
    result: Counter[tuple[str, ...]] = Counter()
    lower: list[tuple[str, ...]] = []
    for order, counted in enumerate(counts.orders, start=1):
        here = []
        for history, word, end, count in zip(*counted, strict=True):
            gram = (*(lower[history] if order > 1 else ()), counts.vocabulary[word])
            assert order == 1 or lower[end] == gram[1:]
            assert gram not in result
            here.append(gram)
            result[gram] = int(count)
        lower = here
    return result


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_counting(
    order: int, block: int, text: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.language_model.sentences._BLOCK_BYTES", block)
    rng = np.random.default_rng([3])
    sentences = [[f"w{w}" for w in rng.integers(0, 30, rng.integers(1, 9))] for _ in range(300)]
    path = text("".join(" ".join(s) + "\n" for s in sentences))
    padded = [(START, *s, END) for s in sentences]
    expected = Counter(g for s in padded for n in range(1, order + 1) for g in grams(s, n))
    counts = count_text([path], order, RAW)
    assert as_counter(counts) - Counter({(UNKNOWN,): 0}) == expected
    assert (counts.sentences, counts.tokens) == (300, sum(map(len, sentences)) + 300)
    assert counts.vocabulary[:3] == [UNKNOWN, START, END]


def test_files_of_all_kinds(text: Callable[..., Path]) -> None:
    paths = [
        text("\ufeffHello, World!\r\n\r\n--\r\nwell-known", "a.txt"),
        text(gzip.compress(b"Hello again\n", mtime=0), "b.data"),
        text('{"text": "A manifest", "duration": 1}\n\n', "c.jsonl"),
        text(gzip.compress(b'{"text": "packed"}', mtime=0), "d.jsonl.gz"),
    ]
    sentences = ["hello world", "well known", "hello again", "a manifest", "packed"]
    assert list(read_sentences(paths, Units())) == [s.split() for s in sentences]
    counts = count_text(paths, 1, Units())
    assert counts.vocabulary[3:] == list(dict.fromkeys(" ".join(sentences).split()))
    assert (counts.sentences, counts.empty) == (5, 3)


def test_characters(text: Callable[..., Path]) -> None:
    path = text("Ab  c'd!\n- e\n")
    units = Units(unit="character")
    assert units.sentence("Ab  c'd!") == ["a", "b", SPACE, "c", "'", "d"]
    counts = count_text([path], 2, units)
    assert sorted(counts.vocabulary[3:]) == ["'", "a", "b", "c", "d", "e", SPACE]
    found = as_counter(counts)
    assert found[("b", SPACE)] == found[(SPACE, "c")] == found[(START, "e")] == 1
    assert (START, SPACE) not in found and found[(SPACE,)] == 1
    assert list(read_sentences([path], units)) == [["a", "b", SPACE, "c", "'", "d"], ["e"]]


def test_text_as_it_is(text: Callable[..., Path]) -> None:
    path = text("\ufeffDon\u2019t  STOP, ok?\n")
    assert list(read_sentences([path], RAW)) == [["Don\u2019t", "STOP,", "ok?"]]
    upper = Units(case="upper", punctuation="")
    assert list(read_sentences([path], upper)) == [["DON", "T", "STOP", "OK"]]


def test_a_limited_vocabulary(text: Callable[..., Path]) -> None:
    path = text("a b a c\nb a d\n")
    limit = text("<s>\nB b ee\na ah\nz z\n\n", "words.txt")
    counts = count_text([path], 2, Units(), vocabulary=limit)
    assert counts.vocabulary == [UNKNOWN, START, END, "b", "a", "z"]
    assert counts.unknown == 2 and as_counter(counts)[("a", UNKNOWN)] == 2
    often = count_text([path], 2, Units(), min_count=2)
    assert often.vocabulary == [UNKNOWN, START, END, "a", "b"]
    assert as_counter(often)[("a", UNKNOWN)] == 2
    model = estimate(counts, discount_fallback=FALLBACK).arpa
    probs = 10.0 ** model.orders[0].log10_probs
    assert probs[[0, 2, 3, 4, 5]].sum() == pytest.approx(1) and probs[5] < probs[0]


@pytest.mark.parametrize(
    ("content", "units", "message"),
    [
        ("", RAW, "no words; name files"),
        ("\n \n", RAW, "no words; name files"),
        ("- !\n", Units(), "no words; name files"),
        ("a\nb <s> c\n", RAW, r":2: the text holds <s>"),
        ("a\n\n</s>\n", RAW, r":3: the text holds </s>"),
        ("<unk>\n", RAW, r":1: the text holds <unk>"),
        ("a\nb\0c\n", RAW, r":2: 'b\\x00c' holds a control character"),
        (b"a\nb\xff\n", RAW, r":2: not UTF-8 text"),
        (gzip.compress(b"a b c\n" * 50, mtime=0)[:-9], RAW, r":1: the gzip file ends or breaks"),
        ("a b\na\n", RAW, r"order=5, but the longest sentence, with <s> and </s>, has 4 words"),
    ],
)
def test_text_is_refused(
    content: str | bytes, units: Units, message: str, text: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        count_text([text(content)], 5, units)


@pytest.mark.parametrize("line", ["a b c", "[1]", '{"words": "a"}', '{"text": 1}', "[" * 100_000])
def test_manifests_are_refused(line: str, text: Callable[..., Path]) -> None:
    path = text(json.dumps({"text": "a b"}) + "\n" + line, "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: a line of a manifest is a JSON object"):
        count_text([path], 1, RAW)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"the 1-grams give no discounts: \d+, \d+, \d+ and \d+ of them .*discount_fallback="),
        ({"discount_fallback": [0.5, 1]}, "must be three numbers"),
        ({"discount_fallback": [0, 1, 1]}, "must be three numbers"),
        ({"discount_fallback": [0.5, 2.5, 1]}, "must be three numbers"),
        ({"prune": [1]}, "start with 0 for words"),
        ({"prune": [0, 2, 1]}, "do not fall"),
        ({"prune": [0, 0, 0, 1]}, "more numbers than the 3 orders"),
        ({"entropy_threshold": -1e-7}, "entropy_threshold=-1e-07"),
        ({"entropy_threshold": float("nan")}, "entropy_threshold=nan"),
    ],
    ids=str,
)
def test_options_are_checked(options: dict, message: str, text: Callable[..., Path]) -> None:
    counts = count_text([text("a b c a b\nc b a\n")], 3, RAW)
    with pytest.raises(ValueError, match=message):
        estimate(counts, **options)


@pytest.mark.parametrize(
    ("order", "units", "options", "message"),
    [
        (0, {}, {}, "order=0"),
        (2, {}, {"min_count": 0}, "min_count=0"),
        (2, {"unit": "syllable"}, {}, "unit='syllable' is unknown"),
        (2, {"case": "title"}, {}, "case='title' is unknown"),
        (2, {"unit": "character"}, {"vocabulary": Path(__file__)}, "limits words"),
        (2, {}, {"vocabulary": Path("nowhere")}, "nowhere: no such text"),
    ],
)
def test_what_is_counted_is_checked(
    order: int, units: dict, options: dict, message: str, text: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        count_text([text("a b\n")], order, Units(**units), **options)


def test_a_small_text_gets_the_fallback(text: Callable[..., Path]) -> None:
    found = estimate(count_text([text("a b c a b\n")], 3, RAW), discount_fallback=FALLBACK)
    assert [d.fallback for d in found.discounts] == [True] * 3
    assert found.discounts[2][:3] == (0.5, 1, 1.5)
