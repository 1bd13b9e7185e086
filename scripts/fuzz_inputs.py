"""What `fuzz.py` feeds: good files, and what a generator of random numbers makes of them.

Some damage is blind (bits, cuts, copies, numbers at the edges of their types). Some knows the
format, because blind damage ends at the first checksum: Ogg pages and zip records get a right one
again, JSON is written from hostile values, pickles are rearranged by opcodes.
"""

import io
import json
import pickletools
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

RAWS = (*[None] * 7, "s16le:16000:1", "u8:8000:2", "f32be:44100:1", "s8:1000:64", "f32le:9:1")
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_EDGES += (2**63 - 1, 2**63, 2**64 - 1)


def damaged(data: bytes, rng: Generator) -> bytes:
    """Bytes after a few blows that know nothing of the format; many fall on the beginning."""
    content = bytearray(data)
    for _ in range(int(rng.geometric(0.4))):
        reach = len(content) if rng.random() < 0.5 else min(len(content), 200)
        at = int(rng.integers(reach + 1))
        length = int(rng.geometric(0.05))
        match int(rng.integers(8)):
            case 0 if at < len(content):
                content[at] ^= 1 << int(rng.integers(8))
            case 1:
                content[at : at + 1] = rng.bytes(1)
            case 2 | 3:
                size = int(rng.choice([1, 2, 4, 8]))
                value = _pick(_EDGES, rng) % 2 ** (8 * size)
                content[at : at + size] = value.to_bytes(size, _pick(("little", "big"), rng))
            case 4:
                del content[at : at + length]
            case 5:
                content[at:at] = content[at : at + length] * int(rng.integers(1, 4))
            case 6:
                content[at:at] = rng.bytes(length)
            case 7 if rng.random() < 0.3:
                del content[at:]
    return bytes(content)


def _pick(options: Any, rng: Generator) -> Any:
    return options[int(rng.integers(len(options)))]


# --- manifests ----------------------------------------------------------------------------------

_LITERALS = ("NaN", "-Infinity", "1e999", "9" * 5000, "-0", "1E-400", "[" * 3000, '"\\ud800"')
_LITERALS += ("[" * 1200 + "]" * 1200, '"\\u0000"', "tru", "0x10", "'a'", '{"a":1,"a":2}', "")
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, 1e308, 10**300, "", "a", "\0", [], {}, [[]])
_VALUES += ("../../x", "/etc/passwd", "x" * 5000, "\u2028", "😀", "NaN", 2**63, -0.0, "s16le:1:1")
_KEYS = ("audio_filepath", "duration", "text", "id", "speaker", "offset", "raw", "more", "", "🙂")


def manifest(rng: Generator) -> bytes:
    """Lines of JSON, of what is nearly JSON, and of neither."""
    lines = [_line(rng) for _ in range(int(rng.integers(1, 4)))]
    content = _pick((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\r", b""), rng).join(lines)
    content = _pick((*[b""] * 8, b"\xef\xbb\xbf", b"\xff\xfe", b"\0"), rng) + content
    return damaged(content, rng) if rng.random() < 0.3 else content


def _line(rng: Generator) -> bytes:
    fields: dict[str, Any] = {"audio_filepath": "a.wav", "duration": 1.5, "text": "yes"}
    for _ in range(int(rng.integers(2))):
        fields[_pick(_KEYS, rng)] = _pick(_VALUES, rng)
    if rng.random() < 0.1:
        fields.pop(_pick(tuple(fields), rng))
    text = json.dumps(fields | {"@": 0}, ensure_ascii=rng.random() < 0.5)
    value = _pick(_LITERALS, rng) if rng.random() < 0.1 else "0"
    key = _pick(_KEYS, rng) if rng.random() < 0.1 else "other"
    return text.replace('"@": 0', f'"{key}": {value}').encode()


# --- audio --------------------------------------------------------------------------------------


def audio_files() -> list[bytes]:
    """Small good files, the same in every process: of speech formats, and what else opens."""
    import soundfile

    time = np.arange(4000)
    sound = 0.3 * np.sin(time / 7) * np.sin(time / 900)
    both = np.stack([sound, -sound], axis=1)
    forms = [("WAV", s) for s in ("PCM_16", "PCM_24", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM")]
    forms += [("WAV", s) for s in ("MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16", "PCM_32")]
    forms += [("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("FLAC", "PCM_S8"), ("OGG", "VORBIS")] * 2
    forms += [("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("MP3", "MPEG_LAYER_III")] * 3
    forms += [("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16")]
    forms += [("AU", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("NIST", "PCM_16")]
    forms += [("VOC", "PCM_16"), ("SVX", "PCM_16"), ("PAF", "PCM_16"), ("IRCAM", "PCM_16")]
    forms += [("MAT4", "PCM_16"), ("MAT5", "PCM_16"), ("PVF", "PCM_16"), ("HTK", "PCM_16")]
    forms += [("SDS", "PCM_16"), ("AVR", "PCM_16"), ("WVE", "ALAW"), ("MPC2K", "PCM_16")]
    forms += [("AIFF", "IMA_ADPCM"), ("AU", "G721_32"), ("XI", "DPCM_16"), ("AIFF", "DWVW_16")]
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        for number, (form, subtype) in enumerate(forms):
            for samples in (sound, both):
                rate = (16000, 44100, 8000)[number % 3] if form != "WVE" else 8000
                try:
                    soundfile.write(path, samples, rate, format=form, subtype=subtype)
                except soundfile.LibsndfileError:  # not every form has two channels
                    continue
                files.append(ogg_mended(path.read_bytes(), serial=7))
    files += [_float_wav(sound, code, width) for code, width in ((3, 4), (3, 8), (1, 4))]
    files.append(b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + files[-10])
    files.append((both * 30000).astype("<i2").tobytes())
    return files


def _float_wav(sound: Any, code: int, width: int) -> bytes:
    """By hand: libsndfile would write the time of day into it."""
    samples = sound.astype(f"<f{width}").tobytes()
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16)
    form = struct.pack("<HHIIHH", code, 1, 16000, 16000 * width, width, 8 * width)
    return head + form + b"data" + struct.pack("<I", len(samples)) + samples


def audio(files: list[bytes], rng: Generator) -> bytes:
    """A damaged audio file, or parts of two."""
    content = _pick(files, rng)
    if rng.random() < 0.05:
        return content
    if rng.random() < 0.1:
        other = _pick(files, rng)
        content = content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]
    content = damaged(content, rng)
    if content.startswith(b"OggS") and rng.random() < 0.7:
        content = ogg_mended(content)
    return content


_CRC = []
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value >> 31 else 0)) & 0xFFFFFFFF
    _CRC.append(_value)


def ogg_mended(content: bytes, serial: int | None = None) -> bytes:
    """Ogg pages with right checksums (RFC 3533), and with one serial number."""
    pages = content.split(b"OggS")
    for i, page in enumerate(pages[1:], start=1):
        if len(page) < 23:
            continue
        number = page[10:14] if serial is None else serial.to_bytes(4, "little")
        length = 23 + page[22] + sum(page[23 : 23 + page[22]])  # of the page, without "OggS"
        whole = b"OggS" + page[:10] + number + page[14:18] + bytes(4) + page[22:length]
        value = 0
        for byte in whole:
            value = (value << 8) & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
        pages[i] = whole[4:22] + value.to_bytes(4, "little") + page[22:]
    return b"OggS".join(pages)


# --- checkpoints --------------------------------------------------------------------------------


def checkpoints() -> list[bytes]:
    """Good checkpoints: a small one, and one with a model, its optimizer and all types."""
    import torch

    from asr.core.checkpoint import save_checkpoint

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    header: dict[str, Any] = {
        "config": {"model": {"_target_": "asr.model.deepspeech2.DeepSpeech2", "layers": [1, 0.5]}},
        "tokenizer": {"symbols": ["a", "b", None, True]},
        "weights": {"a": torch.arange(3)},
        "feature_fingerprint": torch.zeros(2, 3),
        "versions": {"torch": "2"},
    }
    full = header | {
        "weights": module.state_dict(),
        "training": {"optimizer": optimizer.state_dict(), "state": {"step": 5, "best": [(0.5, 1)]}},
        "more": [torch.ones(2, dtype=d) for d in (torch.float64, torch.bfloat16, torch.bool)],
    }
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for content in (header, full):
            save_checkpoint(Path(folder) / "a.pt", content)
            files.append((Path(folder) / "a.pt").read_bytes())
    return files


def checkpoint(files: list[bytes], rng: Generator) -> bytes:
    """A damaged file, or an archive whose checksums are right over damaged records."""
    content = _pick(files, rng)
    if rng.random() < 0.4:
        return damaged(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = "archive/data.pkl" if rng.random() < 0.8 else _pick(tuple(records), rng)
    rearranged = name.endswith("pkl") and rng.random() < 0.7
    records[name] = (_rearranged if rearranged else damaged)(records[name], rng)
    if rng.random() < 0.1:
        records.pop(_pick(tuple(records), rng))
    result = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(result, "w", method) as archive:
        for name, record in records.items():
            archive.writestr(zipfile.ZipInfo(name), record, method)
    return damaged(result.getvalue(), rng) if rng.random() < 0.1 else result.getvalue()


def _rearranged(pickled: bytes, rng: Generator) -> bytes:
    """A pickle whose opcodes are left out, doubled, exchanged, and mixed with others."""
    places = [place for _, _, place in pickletools.genops(pickled)]
    steps = [pickled[a:b] for a, b in zip(places, [*places[1:], len(pickled)], strict=True)]
    for _ in range(int(rng.geometric(0.4))):
        at = int(rng.integers(1, len(steps)))
        other = int(rng.integers(1, len(steps)))
        match int(rng.integers(6)):
            case 0:
                del steps[at]
            case 1:
                steps.insert(at, steps[other])
            case 2:
                steps[at], steps[other] = steps[other], steps[at]
            case 3 | 4:
                steps.insert(at, _pick(_STEPS, rng))
            case 5:
                steps[at] = _pick(_STEPS, rng)
    return b"".join(steps)


_STEPS = (b"}", b"]", b")", b"(", b"t", b"0", b"1", b"2", b"s", b"u", b"a", b"e", b"R", b"b", b"N")
_STEPS += (b"\x81", b"\x85", b"\x86", b"\x87", b"Q", b".", b"h\0", b"h\5", b"q\1", b"K\xff", b"o")
_STEPS += (b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"J\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f")
_STEPS += (b"cos\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\nbytearray\n", b"ctorch\nload\n")
_STEPS += (b"X\xff\xff\xff\x7f", b"X\1\0\0\0a", b"L" + b"9" * 5000 + b"L\n", b"I1\n", b"\x95" * 9)
_STEPS += (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"\x8f", b"\x94")
_STEPS += (
    b"ctorch\nFloatStorage\n",
    b"\x88",
    b"G\x7f\xf0\0\0\0\0\0\0",
    b"\x8a\0",
    b"\x80\5",
    b"P1\n",
)


def good_files(kind: str) -> list[bytes]:
    """What is not damaged, of a kind."""
    if kind == "audio":
        return audio_files()
    return checkpoints() if kind == "checkpoint" else [b'{"audio_filepath": "a", "duration": 1}']


def maker(kind: str, good: list[bytes]) -> Callable[[Generator], bytes]:
    """What makes the inputs of a kind, each from a generator of its own."""
    if kind == "manifest":
        return manifest
    if kind == "audio":
        return lambda rng: audio(good, rng)
    return (lambda rng: checkpoint(good, rng)) if kind == "checkpoint" else (lambda rng: b"")
