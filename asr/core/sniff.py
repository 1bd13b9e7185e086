"""What a file's bytes say it is: for errors about audio, and against three traps.

Headerless samples can begin like an MP3 (a 16-bit big-endian -5 is the bytes FF FB); an MP3 need
not say how long it is; an Ogg file never does, so that only its last page tells whether it was cut.
"""

# Kbit/s by index of MPEG audio layer III (ISO 11172-3 and 13818-3), and its rates for MPEG-1.
_KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)

_CONVERT = "convert it: {ffmpeg}"
_UNPACK = "unpack it and name the audio inside"

# (position, bytes, what it is, how to mend it)
_SIGNATURES = (
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska", _CONVERT),
    (4, b"ftyp", "MP4 or M4A", _CONVERT),
    (0, b"0&\xb2u", "Windows Media", _CONVERT),
    (0, b"#!AMR", "AMR", _CONVERT),
    (0, b"ADIF", "AAC", _CONVERT),
    (0, b"NIST_1A", "NIST SPHERE in a coding that cannot be read", "convert it with sph2pipe"),
    (0, b"RIFF", "a WAV that is damaged or in a coding that cannot be read", _CONVERT),
    (0, b"OggS", "an Ogg that is damaged or holds neither Vorbis, Opus nor FLAC", _CONVERT),
    (0, b"fLaC", "a FLAC that is damaged", "copy or download the file again"),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
)
_HEADERLESS = (
    "if it is headerless, declare its samples (raw, such as 's16le:16000:1': encoding, rate, "
    "channels); otherwise " + _CONVERT
)


def describe(head: bytes, ffmpeg: str) -> str:
    """Say what a file that is not readable audio seems to be, and how to mend it.

    Args:
        head: its first bytes.
        ffmpeg: a command that converts it.
    """
    for position, signature, kind, mend in _SIGNATURES:
        if head[position:].startswith(signature):
            return f"it looks like {kind}; {mend}".format(ffmpeg=ffmpeg)
    text = head.decode("utf-8", errors="replace")
    if "\0" not in text and text.count("\ufffd") <= 1:  # the last character may be cut in two
        kind = "HTML or XML" if text.lstrip().startswith("<") else "text"
        return f"it looks like {kind} (it starts with {text[:40]!r}); name an audio file instead"
    return f"it starts with the bytes {head[:8].hex(' ')}; " + _HEADERLESS.format(ffmpeg=ffmpeg)


def is_mp3(head: bytes) -> bool:
    """Whether bytes start with an ID3 tag, or with a layer III frame where another follows."""
    if head.startswith(b"ID3"):
        return True
    length, _ = _mp3_frame(head)
    following = head[length : length + 4]
    return length > 0 and (len(following) < 4 or _mp3_frame(following)[0] > 0)


def mp3_start(head: bytes) -> int:
    """Where the first frame stands: behind the ID3v2 tag, if there is one."""
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def mp3_length_is_a_guess(frames: bytes) -> bool:
    """Whether an MP3's bit rate varies and no header counts its frames.

    libsndfile then takes the first frame's bit rate for all, and reads too little.

    Args:
        frames: bytes from the first frame on.
    """
    length, _ = _mp3_frame(frames)
    if any(tag in frames[:length] for tag in (b"Xing", b"Info", b"VBRI")):
        return False
    rates, position = set(), 0
    while length:
        rates.add(_mp3_frame(frames[position : position + 4])[1])
        position += length
        length, _ = _mp3_frame(frames[position : position + 4])
    return len(rates) > 1


def _mp3_frame(header: bytes) -> tuple[int, int]:
    """Bytes and kbit/s of the layer III frame that starts here; zeros where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0, 0
    version = header[1] >> 3 & 3  # 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5
    kbits_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or kbits_index in (0, 15) or rate_index == 3:
        return 0, 0
    kbits = (_KBITS_MPEG1 if version == 3 else _KBITS_MPEG2)[kbits_index]
    rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    return (144000 if version == 3 else 72000) * kbits // rate + padding, kbits


def ogg_is_cut(tail: bytes) -> bool:
    """Whether the last page of an Ogg file (RFC 3533) reaches beyond the file's end.

    Args:
        tail: its last 64 KiB or more: no page is longer.
    """
    page = tail[tail.rfind(b"OggS") :]
    if not page.startswith(b"OggS"):
        return False
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) < 27 or len(page) < 27 + page[26] + sum(segments)
