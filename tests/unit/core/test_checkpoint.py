"""Checkpoints are whole or absent, run no code, and are read only if every bit is right."""

import errno
import io
import pickle
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import assert_same, fill_up
from torch import Tensor

from asr.core.checkpoint import load_checkpoint, save_checkpoint

HEADER: dict[str, Any] = {
    "config": {"x": [1, "two", None, 0.5]},
    "tokenizer": {"symbols": ["a", "b"]},
    "weights": {"a": torch.arange(3)},
    "feature_fingerprint": torch.zeros(2, 3),
    "versions": {"torch": "2"},
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new" / "a.pt", HEADER)
    loaded = load_checkpoint(tmp_path / "new" / "a.pt")
    assert torch.equal(loaded["weights"]["a"], torch.arange(3))
    assert loaded["config"] == HEADER["config"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_torch_reads_the_same(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    every = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64)
    every += (torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    content = HEADER | {
        "weights": module.state_dict(),
        "training": {"optimizer": optimizer.state_dict(), "weights": module.state_dict()},
        "types": [torch.ones(3, dtype=dtype) for dtype in every],
        "shapes": (torch.zeros(0, 80), torch.tensor(3.0), torch.arange(12).view(3, 4).t()[1:3]),
        "plain": {2: float("inf"), True: -(2**40), None: (2**63, ()), "": [[{}]], "ß": "\0\ud800"},
    }
    save_checkpoint(tmp_path / "a.pt", content)
    own = load_checkpoint(tmp_path / "a.pt")
    theirs = torch.load(tmp_path / "a.pt", weights_only=True)
    assert_same(own, theirs)
    assert own["weights"]._metadata == theirs["weights"]._metadata
    module.load_state_dict(own["weights"])
    one, other = own["weights"]["0.weight"], own["training"]["weights"]["0.weight"]
    assert one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "value",
    [
        lambda: None,
        {1, 2},
        b"bytes",
        np.float64(1),
        Path(),
        torch.nn.Parameter(torch.zeros(1)),
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(1).expand(9),
        {("a", "b"): 1},
        {2**60: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_read_is_not_written(tmp_path: Path, value: Any) -> None:
    save_checkpoint(tmp_path / "a.pt", HEADER | {"config": {"old": 1}})
    with pytest.raises(TypeError, match=r"a\.pt: not written.* \['more'\]\[0\]"):
        save_checkpoint(tmp_path / "a.pt", HEADER | {"more": [value]})
    assert load_checkpoint(tmp_path / "a.pt")["config"] == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


# It fails at the end, when buffers are flushed; at once; in the middle.
@pytest.mark.parametrize(("free", "numbers"), [(0, 1), (0, 100_000), (300_000, 100_000)])
def test_a_full_disk_destroys_nothing(
    disk_of: Callable[[str], Path], free: int, numbers: int
) -> None:
    disk = disk_of("1m")
    path = disk / "a.pt"
    save_checkpoint(path, HEADER)
    filler = fill_up(disk, free)
    content = HEADER | {"weights": {"a": torch.ones(numbers)}}
    with pytest.raises(OSError, match="No space left") as full:
        save_checkpoint(path, content)
    assert full.value.errno == errno.ENOSPC and full.value.filename == str(path)
    assert_same(load_checkpoint(path)["weights"], HEADER["weights"])
    assert {p.name for p in disk.iterdir()} == {"a.pt", "filler"}, "room for another try"
    filler.unlink()
    save_checkpoint(path, content)
    assert len(load_checkpoint(path)["weights"]["a"]) == numbers


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"format": "asr-checkpoint", "x": Hostile(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="run code"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_other_kinds_are_told_apart(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    torch.save({"format": "asr-checkpoint", "version": 99}, tmp_path / "newer.pt")
    (tmp_path / "text.pt").write_text("hello")
    kinds = {"other": "another kind", "newer": "newer version", "text": "not a checkpoint"}
    kinds |= {"list": "another kind", "absent": "no such checkpoint"}
    for name, words in kinds.items():
        with pytest.raises(ValueError, match=rf"{name}\.pt.*{words}"):
            load_checkpoint(tmp_path / f"{name}.pt")


@pytest.mark.parametrize("version", [None, "1", 0, True, 1.0, [], -(2**70)])
def test_a_version_that_is_none(tmp_path: Path, version: Any) -> None:
    torch.save(HEADER | {"format": "asr-checkpoint", "version": version}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: damaged: its version is"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("key", HEADER)
def test_what_the_program_needs_is_there(tmp_path: Path, key: str) -> None:
    for content in ({k: v for k, v in HEADER.items() if k != key}, HEADER | {key: 7}):
        save_checkpoint(tmp_path / "a.pt", content)
        with pytest.raises(ValueError, match=rf"a\.pt: incomplete: it holds no {key}, "):
            load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_cut_file_is_one_clear_error(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"weights": torch.randn(500)})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"a\.pt"):
        load_checkpoint(path)


def test_a_flipped_bit_anywhere_is_refused_or_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, HEADER)
    whole, data = load_checkpoint(path), bytearray(path.read_bytes())
    masks = np.random.default_rng(0).choice([1, 2, 4, 8, 16, 32, 64, 128, 255], len(data))
    refused = 0
    with path.open("r+b", buffering=0) as file:
        for position, mask in enumerate(masks.tolist()):
            file.seek(position)
            file.write(bytes([data[position] ^ mask]))
            try:
                assert_same(load_checkpoint(path), whole)
            except ValueError:
                refused += 1
            file.seek(position)
            file.write(data[position : position + 1])
    assert 0.3 * len(data) < refused < len(data), "padding and times have no meaning"


# --- files that mean harm, written by hand ------------------------------------------------------


def archive(
    path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, method: int = 0
) -> Path:
    """A zip archive as torch would read it."""
    records = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
    records |= {f"data/{key}": value for key, value in (storages or {}).items()}
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in records.items():
            file.writestr(f"archive/{name}", content)
    return path


def integer(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def tensor(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    count: int = 4,
    kind: bytes = b"FloatStorage",
) -> bytes:
    """The pickle of a tensor in storage "0"."""
    storage = b"(X\7\0\0\0storagectorch\n" + kind + b"\nX\1\0\0\x000X\3\0\0\0cpu"
    shape = b"(%bt(%bt" % (b"".join(map(integer, size)), b"".join(map(integer, stride)))
    return (
        b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage + integer(count) + b"tQ" + integer(offset) + shape)
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def nested(
    times: int, double: bytes, start: bytes = b"(", then: bytes = b"", end: bytes = b"t."
) -> bytes:
    """Objects that hold the one before twice: the last 2 to the power of `times` of the first."""
    steps = (double.replace(b"#", bytes([i])) + b"q" + bytes([i + 1]) + then for i in range(times))
    return b"\x80\2" + start + b"K\0q\0" + then + b"".join(steps) + end


LAUGHS = (b"h#h#\x86", b"](h#h#e", b"}(X\1\0\0\0ah#X\1\0\0\0bh#u")
FOUR = {"0": b"\0" * 16}
HARM: dict[str, Callable[[Path], Path]] = {
    "more than the storage": lambda p: archive(p, tensor((5,), (1,)), FOUR),
    "terabytes": lambda p: archive(p, tensor((2**39,), (1,)), FOUR),
    "terabytes of one number": lambda p: archive(p, tensor((2**39,), (0,)), FOUR),
    "behind the storage": lambda p: archive(p, tensor((2,), (1,), 3), FOUR),
    "before the storage": lambda p: archive(p, tensor((2,), (1,), -1), FOUR),
    "strides leave it": lambda p: archive(p, tensor((2, 2), (3, 1)), FOUR),
    "strides go back": lambda p: archive(p, tensor((2,), (-1,), 1), FOUR),
    "overflow": lambda p: archive(p, tensor((2**62, 4), (4, 1)), FOUR),
    "overflow of none": lambda p: archive(p, tensor((0,) + (2**31,) * 3, (1,) * 4), FOUR),
    "a thousand dimensions": lambda p: archive(p, tensor((1,) * 1000, (1,) * 1000), FOUR),
    "a storage that claims more": lambda p: archive(p, tensor((4,), (1,), count=2**40), FOUR),
    "a storage of another type": lambda p: archive(
        p, tensor((4,), (1,), kind=b"LongStorage"), FOUR
    ),
    "a storage that is not there": lambda p: archive(p, tensor((4,), (1,))),
    "a bomb": lambda p: archive(p, tensor((4,), (1,)), {"0": bytes(10**8)}, zipfile.ZIP_DEFLATED),
    "compressed": lambda p: archive(p, tensor((4,), (1,)), FOUR, zipfile.ZIP_DEFLATED),
    "a key that is hashed for years": lambda p: archive(
        p, nested(40, LAUGHS[0], b"}(", b"K\0", b"u.")
    ),
    "tuples of tuples": lambda p: archive(p, nested(60, LAUGHS[0])),
    "lists of lists": lambda p: archive(p, nested(60, LAUGHS[1])),
    "mappings of mappings": lambda p: archive(p, nested(60, LAUGHS[2])),
    "a list in itself": lambda p: archive(p, b"\x80\2]q\0h\0a."),
    "deep": lambda p: archive(p, b"\x80\2" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "memory for nothing": lambda p: archive(p, b"\x80\2(" + b"]" * 10_000_000 + b"t."),
    "a bytearray": lambda p: archive(p, b"\x80\2cbuiltins\nbytearray\n\x8a\5\0\0\0\0\x0f\x85R."),
    "an attribute that hides a method": lambda p: archive(
        p, b"\x80\2ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\0sb."
    ),
    "numbers with one hash": lambda p: archive(p, b"\x80\2}(" + integer(2**61 - 1) + b"K\1u."),
    "no end": lambda p: archive(p, b"\x80\2}"),
    "nothing": lambda p: archive(p, b"."),
    "too much left": lambda p: archive(p, b"\x80\2}}."),
    "a long number": lambda p: archive(p, b"\x80\2L" + b"9" * 10_000 + b"L\n."),
    "a huge string": lambda p: archive(p, b"\x80\2X\xff\xff\xff\xffabc."),
    "a memo that is not there": lambda p: archive(p, b"\x80\2h\7."),
    "a name of no module": lambda p: archive(p, b"\x80\2cos\nsystem\nX\4\0\0\0true\x85R."),
    "records of one name": lambda p: twice(archive(p, tensor((4,), (1,)), FOUR)),
    "a directory of gigabytes": lambda p: claims(archive(p, b"\x80\2}."), 2**30),
    "a pickle alone": lambda p: pickled(p, {"a": 1}),
    "a torch file of old": lambda p: old(p, {"a": torch.ones(3)}),
}


def twice(path: Path) -> Path:
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("archive/data/0", b"\0" * 16)
    return path


def claims(path: Path, size: int) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, len(content) - 10, size)
    path.write_bytes(content)
    return path


def pickled(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def old(path: Path, content: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def peak_bytes() -> int:
    """The most memory this process ever had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("case", HARM)
def test_harm_is_refused_soon_and_takes_little_memory(tmp_path: Path, case: str) -> None:
    path = HARM[case](tmp_path / "a.pt")
    before, began = peak_bytes(), time.monotonic()
    with pytest.raises(ValueError, match=r"a\.pt: (damaged|not loaded)"):
        load_checkpoint(path)
    assert peak_bytes() - before < 400e6
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("place", "form"), [(-10, "<I"), (-58, "<Q")])
def test_a_list_of_records_is_not_read_if_it_is_gigabytes(
    tmp_path: Path, place: int, form: str
) -> None:
    """Of two places that state its size."""
    save_checkpoint(tmp_path / "a.pt", HEADER)
    content = bytearray((tmp_path / "a.pt").read_bytes())
    assert struct.unpack_from(form, content, len(content) + place)[0] < 2000
    struct.pack_into(form, content, len(content) + place, 2**31)
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pt: damaged .*list of records is too long"):
        load_checkpoint(tmp_path / "a.pt")


def test_records_that_nobody_needs_are_verified_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", HEADER)
    content = (tmp_path / "a.pt").read_bytes()
    assert content.count(b"3\nPK") == 1  # the version of the archive's format
    (tmp_path / "a.pt").write_bytes(content.replace(b"3\nPK", b"4\nPK"))
    with pytest.raises(ValueError, match=r"a\.pt: damaged .*CRC"):
        load_checkpoint(tmp_path / "a.pt")


def test_the_handwritten_pickle_is_right_where_nothing_is_wrong(tmp_path: Path) -> None:
    good = archive(tmp_path / "a.pt", tensor((2, 2), (2, 1)), FOUR)
    with pytest.raises(ValueError, match=r"another kind.*Tensor"):
        load_checkpoint(good)
    assert isinstance(torch.load(good, weights_only=True), Tensor)
    # What this program would never write, though its bits are right, is told as such.
    buffer = io.BytesIO()
    torch.save(OrderedDict(a=1), buffer)
    (tmp_path / "b.pt").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"another kind .it holds \['a'\]"):
        load_checkpoint(tmp_path / "b.pt")
