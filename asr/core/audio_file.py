"""Opening an audio file by its content, and refusing one that cannot be read right."""

import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import soundfile

from asr.core.shard import ffmpeg_source, open_piece
from asr.core.sniff import describe, is_mp3, mp3_length_is_a_guess, mp3_start, ogg_is_cut

_HEAD_BYTES = 4096  # more than the longest MP3 frame
_SPAN_BYTES = 1 << 16  # more than the longest Ogg page, and many MP3 frames
_OPEN_ENDED = 0x7FFFF000  # WAV sizes from here on mean "written to a pipe", not a promise
_UNKNOWN_FRAMES = 1 << 62
_RATES = range(1000, 768001)  # Hz; a second at 1 Hz would become 16000 samples for each byte
_CHANNELS = range(1, 65)  # the largest arrays of microphones have 64

_ENCODINGS = {
    "s8": ("PCM_S8", "FILE", 1),
    "u8": ("PCM_U8", "FILE", 1),
    "s16le": ("PCM_16", "LITTLE", 2),
    "s16be": ("PCM_16", "BIG", 2),
    "f32le": ("FLOAT", "LITTLE", 4),
    "f32be": ("FLOAT", "BIG", 4),
}


@contextmanager
def opened_audio(path: Path, raw: str | None) -> Iterator[soundfile.SoundFile]:
    """Open a file by its content, with what libsndfile says meanwhile turned into ValueErrors.

    Args:
        path: wav, flac, ogg, opus or mp3, whatever its name.
        raw: "ENCODING:RATE:CHANNELS" of a headerless file.

    Raises:
        ValueError: the file is missing, empty, not audio, cut short, damaged or of unknown length,
            or its header claims a rate or a number of channels that no recording has.
    """
    piece = None
    try:
        declared = {} if raw is None else _declared(path, raw)
        piece = open_piece(str(path))
        with cast(BinaryIO, piece) if piece else _regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            if not head:
                raise ValueError(f"{path}: the file is empty (0 bytes); copy or download it again")
            if raw is not None:
                _check_whole_samples(path, raw, size)
            try:  # by descriptor: given a path, soundfile looks at its extension
                source = piece or file.fileno()
                sound = soundfile.SoundFile(source, closefd=False, **declared)
            except soundfile.LibsndfileError:
                raise _not_audio(path, head) from None
            with sound:
                _verify(sound, file, size, path, head)
                yield sound
    except (OSError, ValueError, soundfile.LibsndfileError) as error:
        raise _explained(path, (piece and piece.fault) or error) from None


def _regular(path: Path) -> BinaryIO:
    mode = os.stat(path).st_mode  # noqa: PTH116 (Path takes longer)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path}: a pipe or a device; name a regular file")
    return path.open("rb", buffering=0)


def _explained(path: Path, error: Exception) -> ValueError:
    if isinstance(error, ValueError):
        return error
    if isinstance(error, OSError):
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        return ValueError(f"{path}: {why}; name an audio file that can be read")
    return ValueError(f"{path}: truncated or damaged ({error}); copy or download the file again")


def _declared(path: Path, raw: str) -> dict[str, str | int]:
    """What soundfile must be told of a headerless file."""
    encoding, *numbers = raw.split(":")
    if (
        encoding not in _ENCODINGS
        or len(numbers) != 2
        or not all(re.fullmatch(r"[0-9]{1,9}", n) and int(n) for n in numbers)
    ):
        raise ValueError(
            f"{path}: raw={raw!r} must be ENCODING:RATE:CHANNELS, such as 's16be:16000:1', with "
            f"one of the encodings {', '.join(_ENCODINGS)}"
        )
    subtype, endian, _ = _ENCODINGS[encoding]
    rate, channels = map(int, numbers)
    _check_form(path, rate, channels)
    form: dict[str, str | int] = {"format": "RAW", "subtype": subtype, "endian": endian}
    return form | {"samplerate": rate, "channels": channels}


def _check_whole_samples(path: Path, raw: str, size: int) -> None:
    encoding, _, channels = raw.split(":")
    if surplus := size % (_ENCODINGS[encoding][2] * int(channels)):
        raise ValueError(
            f"{path}: truncated, or not {raw}: {surplus} bytes remain after the last whole sample"
        )


def _verify(sound: soundfile.SoundFile, file: BinaryIO, size: int, path: Path, head: bytes) -> None:
    """Refuse what libsndfile opens but cannot or did not read right."""
    if sound.format == "MP3" and not is_mp3(head):
        raise _not_audio(path, head)
    _check_form(path, sound.samplerate, sound.channels)
    if _is_cut(sound, file, size):
        raise ValueError(f"{path}: truncated: its end is missing; copy or download the file again")
    if sound.frames == 0:
        raise ValueError(f"{path}: it holds no samples; record it again or leave it out")
    if sound.format == "OGG":
        # Where the set-up of its decoder is damaged, libsndfile reads nothing and says no word, and
        # would crash in a later seek.
        if len(sound.read(1)) == 0:
            raise ValueError(f"{path}: damaged: it cannot be decoded; copy or download it again")
        sound.seek(0)
    guess = sound.format == "MP3" and mp3_length_is_a_guess(
        _span(file, mp3_start(head), _SPAN_BYTES)
    )
    if guess or sound.frames >= _UNKNOWN_FRAMES:
        raise ValueError(
            f"{path}: its header does not say how long it is (it was written to a pipe, or cut "
            f"from a longer file); write it anew: {ffmpeg_command(path, sound.samplerate)}"
        )


def _check_form(path: Path, rate: int, channels: int) -> None:
    if rate not in _RATES or channels not in _CHANNELS:
        raise ValueError(
            f"{path}: {channels} channels at {rate} Hz are claimed, but {_CHANNELS[0]} to "
            f"{_CHANNELS[-1]} channels at {_RATES[0]} to {_RATES[-1]} Hz can be read; is the "
            "header damaged? Copy the file again, convert it or leave it out"
        )


def _is_cut(sound: soundfile.SoundFile, file: BinaryIO, size: int) -> bool:
    if sound.format == "OGG":
        return ogg_is_cut(_span(file, max(0, size - _SPAN_BYTES), _SPAN_BYTES))
    if sound.format in ("FLAC", "MP3"):  # say nothing of what is to come
        return False
    sizes = re.search(r"^\s*data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    return sizes is not None and int(sizes[2]) < int(sizes[1]) < _OPEN_ENDED


def _span(file: BinaryIO, start: int, count: int) -> bytes:
    """Bytes of a file whose position libsndfile relies on."""
    position = file.tell()
    file.seek(start)
    span = file.read(count)
    file.seek(position)
    return span


def _not_audio(path: Path, head: bytes) -> ValueError:
    return ValueError(
        f"{path}: not audio that can be read: {describe(head, ffmpeg_command(path, 16000))}"
    )


def ffmpeg_command(path: Path, sample_rate: int) -> str:
    """What a user can type to convert a file, or a piece of a shard, beside itself."""
    target = path.with_name(f"{path.stem}-{sample_rate}.flac")
    source = shlex.quote(ffmpeg_source(str(path)))
    return f"ffmpeg -i {source} -ar {sample_rate} -ac 1 {shlex.quote(str(target))}"
