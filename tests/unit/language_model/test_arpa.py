"""ARPA files: what is read and written, what is refused and how, and thousands of damaged ones."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from asr.language_model.arpa import read_arpa, write_arpa
from asr.language_model.base import Arpa, Grams

MODEL = """\
\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.30103
-1\t</s>
-0.5\tgrüße\t-0.25
-0.75\tb\t0

\\2-grams:
-0.25\t<s> grüße\t-0.125
-0.5\tgrüße b\t0.5
-0.125\tgrüße </s>
-1e-1\tb grüße\t-1.25E0

\\3-grams:
-0.0625\t<s> grüße b
-inf\tgrüße b grüße

\\end\\
"""


def read(text: str | bytes, path: Path) -> Arpa:
    path.unlink(missing_ok=True)  # overwriting waits for the disk
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_arpa(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lm.arpa"


def entries(model: Arpa) -> list[dict[str, tuple[float, float]]]:
    return [
        {
            " ".join(model.vocabulary[w] for w in words): (float(prob), float(backoff))
            for words, prob, backoff in zip(*grams, strict=True)
        }
        for grams in model.orders
    ]


EXPECTED = [
    {"<unk>": (-1.5, 0), "<s>": (-99, np.float32(-0.30103)), "</s>": (-1, 0),
     "grüße": (-0.5, -0.25), "b": (-0.75, 0)},
    {"<s> grüße": (-0.25, -0.125), "grüße b": (-0.5, 0.5), "grüße </s>": (-0.125, 0),
     "b grüße": (np.float32(-0.1), -1.25)},
    {"<s> grüße b": (-0.0625, 0), "grüße b grüße": (-np.inf, 0)},
]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t,
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\t", " "),
        lambda t: t.replace("\t", "  \t ").replace("\n", " \n"),
        lambda t: "made by hand\n\n" + t + "\nnotes\n\\1-grams:\n",
        lambda t: "\ufeff" + t,
        lambda t: t.replace("ngram 1=5", "ngram  1 = 5").replace("\n\\", "\n\n\n\\"),
        lambda t: t.replace("\n\n\\", "\n\\"),
        lambda t: t.removesuffix("\n"),
        lambda t: t.replace("\n", "\n  "),
    ],
    ids=[
        "as it is",
        "CRLF",
        "spaces",
        "padded",
        "text around",
        "BOM",
        "loose",
        "dense",
        "no LF",
        "indented",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_it_reads_what_programs_write(change: object, packed: bool, path: Path) -> None:
    data = change(MODEL).encode()
    model = read(gzip.compress(data, mtime=0) if packed else data, path)
    assert entries(model) == EXPECTED
    assert model.vocabulary == ["<unk>", "<s>", "</s>", "grüße", "b"]
    assert [g.words.dtype for g in model.orders] == [np.int32] * 3
    assert model.orders[0].words.ravel().tolist() == list(range(5))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_may_end_anywhere(size: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.language_model.lines._BLOCK_BYTES", size)
    assert entries(read(MODEL, path)) == EXPECTED
    with pytest.raises(ValueError, match=r":16: .*is no 2-gram"):
        read(MODEL.replace("-0.125\tgr", "x\tgr"), path)


def test_checksums_behind_the_end_are_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.language_model.lines._BLOCK_BYTES", 7)
    packed = gzip.compress((MODEL + "notes\n" * 20).encode(), mtime=0)
    assert entries(read(packed, path)) == EXPECTED
    with pytest.raises(ValueError, match="CRC check failed"):
        read(packed[:-8] + bytes(4) + packed[-4:], path)


def test_orders_may_be_empty_and_marks_missing(path: Path) -> None:
    text = "\\data\\\nngram 1=1\nngram 2=0\n\n\\1-grams:\n-1\ta\n\n\\2-grams:\n\n\\end\\\n"
    assert entries(read(text, path)) == [{"a": (-1, 0)}, {}]


NUMBERS = (
    "-1 -0 0 -0.0 -.5 -5. -1e0 -1E-2 -1e+0 -0.30103 -2.5e-7 -123.456 -1e-40 -99.99999 -3e5 -1e-300 "
    "-0.000000000000000000001 -1.17549435e-38 -3.4028234e38 -inf -INF -Infinity -1e400 "
    "-5.2324452 -0.123456789012345678901234567890 -12345678901234567890.5"
)


@pytest.mark.parametrize("number", NUMBERS.split())
def test_numbers_are_exact(number: str, path: Path) -> None:
    text = f"\\data\\\nngram 1=1\n\n\\1-grams:\n{number}\ta\n\n\\end\\\n"
    with np.errstate(over="ignore"):
        assert read(text, path).orders[0].log10_probs[0] == np.float32(float(number))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("ngram 2=4", "ngram 2=5", 18, "2-grams end after 4 of the 5 that the header promises"),
        ("ngram 2=4", "ngram 2=3", 17, r"`\\3-grams:` is due, but here stands '-1e-1"),
        ("ngram 3=2", "ngram 3=99999999", 22, "3-grams end after 2 of the 99,999,999"),
        ("ngram 3=2\n", "", 13, "highest order has no back-off weights; is an order missing?"),
        ("ngram 2=4", "ngram 2=99999999999", 3, "`ngram 2=COUNT`"),
        ("ngram 2=4", "ngram 3=4", 3, "`ngram 2=COUNT`"),
        ("ngram 1=5", "ngram 1=-5", 2, "`ngram 1=COUNT`"),
        ("\\data\\", "\\date\\", 24, r"no line `\\data\\`"),
        ("\\end\\", "", 24, r"`\\end\\` is due, but the file ends.* cut short or damaged"),
        ("\\2-grams:", "\\2-gram:", 13, r"`\\2-grams:` is due, but here stands '\\\\2-gram:'"),
        ("-0.5\tgrüße b", "nan\tgrüße b", 15, "nan.* is no 2-gram: a line starts with a base-10"),
        ("-0.5\tgrüße b", "-0.5x\tgrüße b", 15, "is no 2-gram"),
        ("-0.5\tgrüße b", "-\tgrüße b", 15, "is no 2-gram"),
        ("-0.5\tgrüße b", "-1e\tgrüße b", 15, "is no 2-gram"),
        ("-0.5\tgrüße b", "inf\tgrüße b", 15, "is no 2-gram"),
        ("-0.5\tgrüße b", "-0.5\tgrüße", 15, "is no 2-gram: its words must all be listed"),
        ("-0.25\t<s> grüße\t-0.125", "-0.25\t<s>", 14, "is no 2-gram: a line is a logarithm"),
        ("grüße b\t0.5", "grüße b\tnan", 15, "is no 2-gram: a line starts with"),
        ("grüße b\t0.5", "grüße b\t0.5\t1", 15, "is no 2-gram: a line is a logarithm"),
        ("-0.5\tgrüße b", "-0.5\tgrüße c", 15, "is no 2-gram: its words must all be listed as 1-"),
        ("-0.5\tgrüße b", "0.5\tgrüße b", 15, "is no 2-gram: the logarithm .* not above 0"),
        ("<s> grüße b", "<s> grüße b\t-0.5", 20, "highest order has no back-off weights"),
        ("-0.5\tgrüße b", "-0.5\tb grüße", 17, "'b grüße' is listed a second time"),
        ("-0.75\tb", "-0.75\tgrüße", 11, "the word 'grüße' is listed a second time"),
        ("-0.0625\t<s> grüße b", "-1\tb b b", 20, "'b b b' continues 'b b', which is not listed"),
        ("-0.0625\t<s> grüße b", "-1\tgrüße b grüße", 21, "'grüße b grüße' is listed a second"),
        ("-1\t</s>\n", "-1\t</s>\n\n", 10, "1-grams end after 3 of the 5"),
        ("-1\t</s>\n", "-1\t</s>\n \r\n", 10, "1-grams end after 3 of the 5"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, line: int, message: str, path: Path) -> None:
    assert MODEL.count(old) >= 1
    with pytest.raises(ValueError, match=message) as caught:
        read(MODEL.replace(old, new, 1), path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r":1: no line `\\data\\`"),
        (b"\x1f\x8b", r":1: the gzip file ends"),
        (b"\\data\\\n", r":2: the header counts no 1-grams"),
        (b"\\data\\\nngram 1=0\n\\1-grams:\n\\end\\\n", r":3: the header counts no 1-grams"),
        (gzip.compress(MODEL.encode(), mtime=0)[:-30], r":\d+: the gzip file ends or breaks"),
        (gzip.compress(MODEL.encode(), mtime=0)[:-3], r":\d+: the gzip file ends or breaks"),
        (gzip.compress(MODEL.encode(), mtime=0)[:-8] + b"\0" * 8, "CRC check failed"),
        (MODEL.encode("latin-1"), ":10: not UTF-8"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", ":1: this is KenLM's binary"),
        (b"x" * 6_000_000, ":1: a line of more than a megabyte"),
        (b"some text\n" * 100_000, r"no line `\\data\\` so far"),
    ],
    ids=["empty", "gzip's mark", "no counts", "0", "cut", "cut late", "crc", "latin-1", "binary",
         "one line", "text"],
)  # fmt: skip
def test_other_files_are_refused(data: bytes, message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(data, path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such language model"):
        read_arpa(tmp_path / "nowhere.arpa")


def same(one: Arpa, other: Arpa) -> bool:
    return one.vocabulary == other.vocabulary and all(
        np.array_equal(a, b)
        for mine, theirs in zip(one.orders, other.orders, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize("name", ["a.arpa", "a.arpa.gz"])
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng([7])
    words = [f"w{'ö' * (i % 5)}{i}" for i in range(400)]
    floats = rng.standard_normal(4000) * 10.0 ** rng.integers(-12, 4, 4000)
    probs = np.concatenate([-np.abs(floats), [0, -np.inf, -99, -1e9, -123456792, -1e30, -1e-20]])
    pairs = np.stack(np.divmod(rng.permutation(400 * 400)[: len(probs)], 400), axis=1)
    unigrams = np.arange(400, dtype=np.int32)[:, None]
    first = Grams(unigrams, np.float32(probs[:400]), np.float32(floats[400:800]))
    second = Grams(pairs.astype(np.int32), np.float32(probs), np.zeros(len(probs), np.float32))
    model = Arpa(words, [first, second])
    write_arpa(model, tmp_path / "new" / name)
    again = read_arpa(tmp_path / "new" / name)
    assert same(model, again)
    assert [p.name for p in (tmp_path / "new").iterdir()] == [name]


def test_the_file_is_as_lmplz_writes_it(shared_data: Path, tmp_path: Path) -> None:
    theirs = shared_data / "decoding" / "lm_3gram.arpa.gz"
    write_arpa(read_arpa(theirs), tmp_path / "a.arpa")
    assert (tmp_path / "a.arpa").read_bytes() == gzip.decompress(theirs.read_bytes())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, path: Path) -> None:
    model = read(MODEL, path)
    write_arpa(model, path)
    before = path.read_bytes()
    with pytest.raises(IndexError):
        write_arpa(model._replace(vocabulary=["a"]), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


PIECES = [b"\\", b"\\data\\\n", b"\\end\\\n", b"\n", b"\r", b"\t", b" ", b"-", b"e", b"nan", b"inf",
          b"9" * 30, b"-1e999", b"\0", b"\xff", "ü".encode(), b"ngram 4=1\n", b"\\2-grams:\n",
          b"-1 b\n", b"<unk>", b"<s>"]  # fmt: skip


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        at, length = rng.integers(0, len(data) + 1), int(rng.integers(1, 30))
        lines = data.split(b"\n")
        one, other = rng.integers(0, len(lines), 2)
        match rng.integers(0, 8):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[at + length :]
            case 2:
                data = data[:at] + PIECES[rng.integers(len(PIECES))] + data[at:]
            case 3:
                data = data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]
            case 4:
                lines[one], lines[other] = lines[other], lines[one]
                data = b"\n".join(lines)
            case 5:
                data = b"\n".join([*lines[:one], lines[other], *lines[one:]])
            case 6:
                data = b"\n".join([*lines[:one], *lines[one + 1 :]])
            case _:
                digit = re.sub(rb"\d", bytes([48 + rng.integers(10)]), data[at:], count=1)
                data = data[:at] + digit
    return data


def check_consistent(model: Arpa) -> None:
    """What every reader of an Arpa may rely on."""
    assert len(set(model.vocabulary)) == len(model.vocabulary)
    listed: set[tuple[int, ...]] = set()
    for order, grams in enumerate(model.orders, start=1):
        rows = [tuple(row) for row in grams.words.tolist()]
        assert len(set(rows)) == len(rows) and all(len(row) == order for row in rows)
        assert all(0 <= w < len(model.vocabulary) for row in rows for w in row)
        assert order == 1 or all(row[:-1] in listed for row in rows)
        assert not np.isnan(grams.log10_probs).any() and (grams.log10_probs <= 0).all()
        assert not np.isnan(grams.log10_backoffs).any()
        listed = set(rows)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    """Never anything else: no crash, no endless loop, nothing inconsistent."""
    rng = np.random.default_rng([11])
    path, copy = tmp_path / "lm.arpa", tmp_path / "copy.arpa"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        try:
            model = read(mutate(MODEL.encode(), rng), path)
        except ValueError as error:
            assert re.match(rf"{re.escape(str(path))}:\d+: .{{20}}", str(error)), str(error)
            outcomes["refused"] += 1
            continue
        check_consistent(model)
        write_arpa(model, copy)
        again = read_arpa(copy)
        assert again.vocabulary == model.vocabulary
        outcomes["read"] += 1
    assert min(outcomes.values()) > 150, outcomes


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng([12])
    whole = gzip.compress(MODEL.encode(), mtime=0)
    path = tmp_path / "lm.arpa.gz"
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(10, len(whole))] ^= 1 << rng.integers(8)
        try:
            assert entries(read(bytes(damaged), path)) == EXPECTED  # a bit that nobody reads
        except ValueError as error:
            assert str(error).startswith(f"{path}:")
