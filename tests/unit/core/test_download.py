"""Downloads over connections that break, and archives that mean harm."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback import Server, serving

from asr.core.download import download, extract

BODY = bytes(range(256)) * 4000  # 1 MB, more than what the server can hand to the socket at once
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(BODY) as server:
        yield server


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def fetched(md5: str | None = MD5, tries: int = 3) -> Path:
        path = tmp_path / "new" / "file.tar.gz"
        return download(server.url, path, md5=md5, tries=tries, wait_seconds=0.001)

    return fetched


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


@pytest.mark.parametrize(
    "plan",
    [
        [],
        ["breaks"],
        ["breaks"] * 6,  # more than the tries in a row, but each brings new bytes
        ["503", "429"],
        ["breaks", "no ranges"],
        ["no length"],
        ["promises too much"],
    ],
)
def test_the_file_arrives_whole(
    plan: list[str], server: Server, fetch: Callable[..., Path]
) -> None:
    server.plan = list(plan)
    path = fetch()
    assert path.read_bytes() == BODY
    assert not part_of(path).exists()


def test_it_goes_on_where_it_broke_off(server: Server, fetch: Callable[..., Path]) -> None:
    server.plan = ["breaks"]
    fetch()
    assert server.ranges == [None, f"bytes={len(BODY) // 2}-"]


def test_bytes_from_elsewhere_are_not_appended(server: Server, fetch: Callable[..., Path]) -> None:
    server.plan = ["breaks", "wrong range"]
    assert fetch(None).read_bytes() == BODY


def test_it_goes_on_in_another_run(server: Server, fetch: Callable[..., Path]) -> None:
    server.plan, server.always = ["breaks"], "503"
    with pytest.raises(ValueError, match=r"gave up after 3 failures .*503.* run the same command"):
        fetch()
    server.always = "fine"
    assert fetch().read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={len(BODY) // 2}-"


def test_a_file_that_is_there_is_not_fetched_again(
    server: Server, fetch: Callable[..., Path]
) -> None:
    fetch()
    fetch()
    assert len(server.ranges) == 1
    fetch(None).write_bytes(b"damaged")
    assert fetch().read_bytes() == BODY


def test_endless_failure_without_progress_ends(server: Server, fetch: Callable[..., Path]) -> None:
    server.always = "no ranges, breaks"  # always the same half, never more
    with pytest.raises(ValueError, match=r"gave up after 3 failures in a row .*512,000 of 1,024"):
        fetch()
    assert len(server.ranges) == 3


def test_a_wrong_checksum_leaves_nothing(
    server: Server, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rf"{MD5}.*{'0' * 32} is published.*corpus\.root="):
        fetch("0" * 32)
    assert not list((tmp_path / "new").iterdir())
    assert len(server.ranges) == 1


def test_a_part_of_another_edition_is_thrown_away(
    server: Server, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "new" / "file.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    assert fetch().read_bytes() == BODY
    part.write_bytes(b"x" * (len(BODY) + 5))  # longer than the file
    (tmp_path / "new" / "file.tar.gz").unlink()
    assert fetch().read_bytes() == BODY


def test_a_refusal_is_not_tried_again(server: Server, fetch: Callable[..., Path]) -> None:
    server.always = "404"
    with pytest.raises(ValueError, match=r"answers 404 .*corpus\.root="):
        fetch()
    assert len(server.ranges) == 1


def test_nobody_answers(tmp_path: Path) -> None:
    with Server(BODY) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}/x"
    with pytest.raises(ValueError, match=r"gave up after 2 failures .*refused"):
        download(url, tmp_path / "x", md5=None, tries=2, wait_seconds=0.001)


def tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def special(
    name: str, kind: bytes, target: str = "", pax: dict[str, str] | None = None
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, target, pax or {}
    return info


def test_extract_merges_into_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "corpus" / "a").mkdir(parents=True)
    (folder / "corpus" / "a" / "old.txt").write_text("old")
    folders = special("corpus/empty", tarfile.DIRTYPE)
    archive = tar(tmp_path / "x.tar.gz", folders, ("corpus/a/new.txt", b"new"), ("./top", b"1"))
    extract(archive, folder)
    found = {str(p.relative_to(folder)) for p in folder.rglob("*")}
    expected = "corpus corpus/a corpus/a/new.txt corpus/a/old.txt corpus/empty top"
    assert found == set(expected.split())
    assert (folder / "corpus/a/new.txt").read_bytes() == b"new"


EVIL: dict[str, tuple[tuple[tuple[str, bytes] | tarfile.TarInfo, ...], str]] = {
    "climbs": ((("../evil", b"x"),), r"'\.\./evil' climbs out"),
    "climbs inside": ((("a/../../evil", b"x"),), r"climbs out"),
    "climbs in Windows": ((("a\\..\\..\\evil", b"x"),), r"climbs out"),
    "absolute": ((("/{tmp}/evil", b"x"),), r"absolute name"),
    "drive": ((("C:evil", b"x"),), r"absolute name"),
    "symbolic link": (
        (special("link", tarfile.SYMTYPE, ".."), ("link/evil", b"x")),
        r"'link' is a link to '\.\.'",
    ),
    "hard link": ((special("link", tarfile.LNKTYPE, "/etc/passwd"),), r"is a link to"),
    "device": ((special("null", tarfile.CHRTYPE),), r"device or a pipe"),
    "pipe": ((special("pipe", tarfile.FIFOTYPE),), r"device or a pipe"),
    "file and folder": ((("a", b"x"), ("a/b", b"x")), r"'a/b' stands .* as a file and a folder"),
    "twice": ((("a", b"x"), ("a", b"y")), r"'a' stands in it twice"),
    "a zero in a name": ((special("a", tarfile.REGTYPE, pax={"path": "a\0b"}),), "no proper name"),
}


@pytest.mark.parametrize("case", EVIL)
def test_extract_refuses(case: str, tmp_path: Path) -> None:
    members, message = EVIL[case]
    named = [(m[0].format(tmp=tmp_path), m[1]) if isinstance(m, tuple) else m for m in members]
    archive = tar(tmp_path / "x.tar.gz", ("good", b"x"), *named)
    folder = tmp_path / "data"
    with pytest.raises(ValueError, match=message):
        extract(archive, folder)
    assert not list(folder.iterdir()), "whole or not at all"
    assert {p.name for p in tmp_path.iterdir()} == {"x.tar.gz", "data"}


def test_no_bit_of_a_mode_is_taken_over(tmp_path: Path) -> None:
    root = special("tool", tarfile.REGTYPE)
    root.mode, root.uid = 0o7777, 0
    folder = special("folder", tarfile.DIRTYPE)
    folder.mode = 0o7777
    extract(tar(tmp_path / "x.tar.gz", root, folder), tmp_path / "data")
    assert not (tmp_path / "data" / "tool").stat().st_mode & 0o7111
    assert not (tmp_path / "data" / "folder").stat().st_mode & 0o7000


class Zeros(io.RawIOBase):
    """So many of them, out of nothing."""

    def __init__(self, count: int) -> None:
        self.left = count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


def blown_up(path: Path, count: int, size: int) -> Path:
    """An archive of files of zeros."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(count):
            info = special(f"zeros-{number}", tarfile.REGTYPE)
            info.size = size
            archive.addfile(info, io.BufferedReader(Zeros(size)) if size else None)
    return path


def header(name: str, kind: bytes, size: int) -> bytes:
    info = special(name, kind)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def claims(path: Path, kind: bytes, size: int, content: bytes = b"") -> Path:
    """An archive that says more than it holds; gigabytes of its zeros need few bytes."""
    with gzip.open(path, "wb") as file:
        file.write(header("a", kind, size) + content + bytes(2048))
    return path


def sparse(path: Path, size: int) -> Path:
    """A file that is said to be a hole of so many bytes."""
    block = bytearray(header("a", tarfile.GNUTYPE_SPARSE, 0))
    block[483:495] = b"\x80" + size.to_bytes(11)  # its real size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with gzip.open(path, "wb") as file:
        file.write(bytes(block) + bytes(1024))
    return path


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "terabytes": (lambda p: claims(p, tarfile.REGTYPE, 2**42), "bytes unpack to 4,398,0"),
    "a hole of terabytes": (lambda p: sparse(p, 2**42), "bytes unpack to 4,398,0"),
    "many files": (lambda p: blown_up(p, 40, 400_000), r"bytes unpack to 10,\d{3},\d{3} and"),
    "many empty files": (lambda p: blown_up(p, 3000, 0), r"bytes unpack to 10,\d{3},\d{3} and"),
    "a name of gigabytes": (lambda p: claims(p, tarfile.GNUTYPE_LONGNAME, 2**32), "a header of"),
    "an extended header": (lambda p: claims(p, tarfile.XHDTYPE, 2**32), "a header of"),
    "a size below zero": (lambda p: claims(p, tarfile.REGTYPE, -512), "a header of -512"),
    "a link of gigabytes": (lambda p: claims(p, tarfile.SYMTYPE, 2**32), "a header of"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_extract_refuses_a_bomb(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.core.download._SMALL_BYTES", 10_000_000)  # a gigabyte takes long
    make, message = BOMBS[case]
    archive = make(tmp_path / "x.tar.gz")
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"(?s)x\.tar\.gz: .*{message}"):
        extract(archive, tmp_path / "data")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert not list((tmp_path / "data").iterdir())


def test_extract_needs_room(disk_of: Callable[[str], Path], tmp_path: Path) -> None:
    small_disk = disk_of("1m")
    archive = tar(tmp_path / "x.tar.gz", ("small", b"x"), ("large", b"x" * (2 << 20)))
    with pytest.raises(ValueError, match=r"no room .* 2,097,152 bytes, and [\d,]+ are free; make"):
        extract(archive, small_disk)
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("damage", ["cut", "cut at the end", "flipped", "no archive"])
def test_extract_refuses_what_is_damaged(damage: str, tmp_path: Path) -> None:
    archive = tar(tmp_path / "x.tar.gz", ("good", hashlib.sha256(b"x").digest() * 5000))
    whole = archive.read_bytes()
    at = len(whole) - 6  # in gzip's checksum
    archive.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "cut at the end": whole[:-8],
            "flipped": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
            "no archive": b"<html>not found</html>",
        }[damage]
    )
    with pytest.raises(ValueError, match=r"x\.tar\.gz: the archive is cut short or damaged"):
        extract(archive, tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())
