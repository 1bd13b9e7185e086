"""What comes from elsewhere: servers, archives, manifests, audio."""

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from bench import Bench, Found, Run, UnexpectedError, need, tidy
from loopback import Server, serving

HOURS = 10
AT_MOST = 200 << 20  # bytes that a hostile file may cost beyond what a good one does


# --- AN4 in small, from a server on this machine ------------------------------------------------


def an4(*more: tarfile.TarInfo) -> bytes:
    """A corpus in AN4's layout, four speakers of two utterances each, as CMU's server sends it."""
    rng = np.random.default_rng(1)
    files: dict[str, bytes] = {}
    for part, speakers in (("train", ["aa", "bb", "cc"]), ("test", ["dd"])):
        names = [(s, f"an{i}-{s}-b") for s in speakers for i in range(2)]
        ids = "".join(f"an4_clstk/{s}/{n}\n" for s, n in names)
        texts = "".join(f"<s> GO {s} </s> ({n})\n" for s, n in names)
        files |= {f"etc/an4_{part}.fileids": ids.encode()}
        files |= {f"etc/an4_{part}.transcription": texts.encode()}
        for s, n in names:
            samples = rng.integers(-3000, 3000, 16000 * 2)
            files[f"wav/an4_clstk/{s}/{n}.raw"] = samples.astype(">i2").tobytes()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"an4/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info, io.BytesIO(b"evil") if info.isfile() else None)
    return whole.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A member that means harm."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 4 if kind == tarfile.REGTYPE else 0
    return info


def prepare(bench: Bench, name: str, server: Server) -> Run:
    """`python -m asr.prepare corpus=an4`, to which the server is a proxy."""
    folder = bench.folder / "prepared" / name
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    return bench.do(
        name, "prepare", "corpus=an4", "corpus.source.dev_speakers=1", f"folder={folder}",
        http_proxy=proxy, no_proxy="",
    )  # fmt: skip


def digest(bench: Bench, name: str) -> dict[str, bytes]:
    """All that was prepared, but for the report, which names its folder."""
    folder = bench.folder / "prepared" / name
    paths = (p for p in folder.rglob("*") if p.is_file() and p.name != "report.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def undisturbed(bench: Bench) -> dict[str, bytes]:
    """The same from a server that does what it should."""

    def make() -> None:
        with serving(an4()) as server:
            prepare(bench, "good", server).end(0)

    bench.once("good", make)
    return digest(bench, "good")


def download(bench: Bench, name: str, plan: list[str]) -> Found:
    """A server that fails as planned, and then no more."""
    with serving(an4()) as server:
        server.plan = list(plan)
        run = prepare(bench, name, server).end(0)
        asked = [wanted or "all" for wanted in server.ranges]
    need(digest(bench, name) == undisturbed(bench), "what was prepared differs")
    lines = [tidy(line) for line in run.said.splitlines() if "trying again" in line]
    said = lines[-1] if lines else "nothing"
    return Found(f"{said} (asked for {', then '.join(asked)})", 0, "Nothing: the same bytes.")


def server_gone(bench: Bench, name: str) -> Found:
    """It breaks off, then answers 503 for as long as anybody asks; later it is back."""
    with serving(an4()) as server:
        server.plan, server.always = ["breaks"], "503"
        said = prepare(bench, name, server).end(1).line("gave up after")
        server.always, server.ranges = "fine", []
        prepare(bench, name, server).end(0)
        need(server.ranges[0], "it began anew")
    need(digest(bench, name) == undisturbed(bench), "what was prepared differs")
    return Found(said, 1, "Nothing: the same command went on at that byte; the same bytes.")


def wrong_checksum(bench: Bench, name: str) -> Found:
    """Whole, but not what OpenSLR has published a checksum of."""
    folder = bench.folder / "prepared" / name
    with serving(an4()) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        run = bench.do(name, "prepare", "corpus=librispeech", f"corpus.source.url={url}",
                       "corpus.subsets=[dev-clean]",
                       f"folder={folder}").end(1)  # fmt: skip
    left = [p for p in folder.rglob("*") if p.is_file()]
    need(not left, f"files are left: {left}")
    return Found(run.line("is published"), 1, "Nothing: the file was removed.")


def archive(bench: Bench, name: str, body: Callable[[], bytes], outside: Iterable[Path]) -> Found:
    """An archive that means harm, sent in the place of AN4's."""
    with serving(body()) as server:
        run = prepare(bench, name, server).end(None)
    folder = bench.folder / "prepared" / name
    for path in filter(Path.exists, outside):
        path.unlink()
        raise UnexpectedError(f"it wrote {path}, outside of its folder")
    left = [p.name for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".tar.gz")]
    need(not left, f"files were unpacked: {left}")
    return Found(
        run.end(1).line("^error: "), 1, "Nothing: no file was unpacked, inside or outside."
    )


def hostile(*members: tarfile.TarInfo) -> Callable[[], bytes]:
    """The corpus with such members at its end."""
    return lambda: an4(*members)


def cut() -> bytes:
    """Half of the archive, sent as if it were all."""
    body = an4()
    return body[: len(body) // 2]


def bomb() -> bytes:
    """Two gigabytes of zeros as the one file of an archive of a few megabytes."""
    zeros = gzip.compress(bytes(1 << 26), 1)
    info = tarfile.TarInfo("an4/etc/zeros")
    info.size = 1 << 31
    return gzip.compress(info.tobuf()) + zeros * 32 + gzip.compress(bytes(1024))


# --- manifests and audio ------------------------------------------------------------------------


def manifest(
    bench: Bench, name: str, spoil: Callable[[bytes], bytes], options: Iterable[str] = ()
) -> Found:
    """A training manifest in which something is wrong."""
    tones = bench.own_tones(name)
    path = tones / "train.jsonl"
    path.write_bytes(spoil(path.read_bytes()))
    run = bench.start(name, *(o.format(tones=tones) for o in options), tones=tones).end(1)
    need(not run.folder.exists(), "a run was begun")
    need("Traceback" not in run.said, "a traceback")
    return Found(run.line("^error: "), 1, "Nothing: no run was begun.")


def cut_line(content: bytes) -> bytes:
    """The last line, and so the file, ends in its middle."""
    return content[:-60]


def not_utf8(content: bytes) -> bytes:
    """A text in Latin-1."""
    return content.replace(b'"text": "', b'"text": "\xe9', 1)


def outside(content: bytes) -> bytes:
    """One line names a file of the machine's own."""
    lines = content.splitlines()
    first = json.dumps(json.loads(lines[0]) | {"audio_filepath": "/etc/passwd"})
    return b"\n".join([first.encode(), *lines[1:]])


def audio(bench: Bench, name: str, make: Callable[[Path], Any]) -> Found:
    """One file of a test set is not what it says."""
    folder = bench.folder / "audio" / name
    folder.mkdir(parents=True)
    make(folder / "a.wav")
    fields = {"audio_filepath": "a.wav", "duration": 3600.0 * HOURS, "text": "a"}
    (folder / "one.jsonl").write_text(json.dumps(fields), encoding="utf-8")
    where = [f"checkpoint={bench.saving() / 'best.pt'}", f"output={folder}", "device=cpu"]
    good = bench.do(f"{name}-good", "evaluate", *where, str(bench.tones / "test.jsonl")).end(0)
    run = bench.do(name, "evaluate", *where, str(folder / "one.jsonl")).end(1)
    need(run.peak < good.peak + AT_MOST, f"it took {(run.peak - good.peak) >> 20} MB more")
    need("Traceback" not in run.said, "a traceback")
    said = f"{run.line('^error: ')} ({run.peak >> 20} MB; a good file takes {good.peak >> 20} MB)"
    return Found(said, 1, "Nothing.")


def ten_hours_claimed(path: Path) -> None:
    """A header that promises ten hours, and a second of samples."""
    soundfile.write(path, np.zeros(16000), 16000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, 2 * 16000 * 3600 * HOURS)
    path.write_bytes(content)


def ten_hours(path: Path) -> None:
    """Ten hours of silence, really, in a FLAC of a megabyte or two."""
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        for _ in range(HOURS):
            file.write(np.zeros(8000 * 3600, dtype=np.int16))


def many_channels(path: Path) -> None:
    """A hundred channels."""
    soundfile.write(path, np.zeros((16000, 100)), 16000, subtype="PCM_16")
