"""Models that others have published: LibriSpeech's, at https://www.openslr.org/11.

V. Panayotov, G. Chen, D. Povey and S. Khudanpur, "LibriSpeech: An ASR Corpus Based on Public
Domain Audio Books", ICASSP 2015: 200,000 words in capitals, estimated on 14,500 books that are not
in the corpus.

OpenSLR publishes no checksums for them. A file is taken if it has the size that Kaldi's recipe
(egs/librispeech/s5/local/download_lm.sh) expects; if its SHA-256 is what RWTH's recipes
(rwth-i6/i6_experiments) expect, where they name one; and otherwise if gzip's own CRC-32 is right.
"""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import NamedTuple

from asr.core.download import download
from asr.core.progress import progress_bar

_URL = "https://www.openslr.org/resources/11"
_BLOCK_BYTES = 1 << 20


class Published(NamedTuple):
    """A published file: its address, its size in bytes, and its SHA-256 where it is known."""

    url: str
    size: int
    sha256: str | None = None


PUBLISHED = {
    "librispeech-3gram-pruned-3e-7": Published(f"{_URL}/3-gram.pruned.3e-7.arpa.gz", 13_654_242),
    "librispeech-3gram-pruned-1e-7": Published(f"{_URL}/3-gram.pruned.1e-7.arpa.gz", 34_094_057),
    "librispeech-3gram": Published(
        f"{_URL}/3-gram.arpa.gz",
        759_636_181,
        "263649573475c2991d3e755eb4e690c9d2656f2b3283a1eb589e1e4e174bf874",
    ),
    "librispeech-4gram": Published(
        f"{_URL}/4-gram.arpa.gz",
        1_355_172_078,
        "f2b2d1507637ddf459d3579159f7e8099ed7d77452ff1059aeeeaea33d274613",
    ),
}


def fetch(name: str, folder: Path, catalogue: dict[str, Published] = PUBLISHED) -> Path:
    """Download a published model, going on where an earlier try broke off, and verify it.

    Args:
        name: one of the catalogue's.
        folder: where it goes, under its publisher's name with `librispeech-` before it.
        catalogue: what there is.

    Raises:
        ValueError: the name is unknown, the server fails, or the file is not the published one.
    """
    if name not in catalogue:
        raise ValueError(f"published={name} is unknown: choose {', '.join(catalogue)}")
    file = catalogue[name]
    corpus = name.partition("-")[0]
    path = download(file.url, folder / f"{corpus}-{file.url.rpartition('/')[2]}", md5=None)
    if fault := _fault(path, file):
        path.unlink()
        raise ValueError(
            f"{path}: {fault}; it was removed. Run the same command again, or fetch {file.url} by "
            "hand and name the file where a model is asked for"
        )
    return path


def _fault(path: Path, file: Published) -> str | None:
    """What is wrong with a file."""
    size = path.stat().st_size
    if size != file.size:
        return f"it has {size:,} bytes, but {file.size:,} are published"
    digest = hashlib.sha256()
    with (
        progress_bar(f"verifying {path.name}", size, in_bytes=True) as advance,
        path.open("rb") as raw,
    ):
        if file.sha256 is not None:
            while block := raw.read(_BLOCK_BYTES):
                digest.update(block)
                advance(len(block))
            if digest.hexdigest() != file.sha256:
                return f"its SHA-256 is {digest.hexdigest()}, not {file.sha256}"
            return None
        try:
            told = 0
            with gzip.GzipFile(fileobj=raw) as unpacked:
                while unpacked.read(_BLOCK_BYTES):
                    advance(raw.tell() - told)
                    told = raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            return f"gzip finds it damaged ({error})"
    return None
