"""What the API answers, as OpenAPI describes it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from asr.reporting.timed_text import FORMATS

# Beside the formats of `asr.transcribe`: what the page reads while a long recording is recognised.
LINES = "lines"
FORMAT_NAMES = sorted([*FORMATS, LINES])
MEDIA_TYPES = {
    "json": "application/json",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    LINES: "application/x-ndjson",
}


class Answer(BaseModel):
    """Exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Every error. error: what is wrong, where, and how to mend it."""

    error: str


class Timed(Answer):
    """A token. start, end: seconds. confidence: 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


class TimedWord(Timed):
    """A word and its tokens."""

    tokens: list[Timed]


class Transcript(Answer):
    """What was heard, as `python -m asr.transcribe format=[json]` writes it."""

    name: str
    audio: str
    offset: float
    duration: float
    confidence: float
    text: str
    words: list[TimedWord]


class Example(Answer):
    """A recording that the page offers. duration: seconds. text: what is said in it, if known."""

    name: str
    duration: float
    text: str


class Health(Answer):
    """How the server is. busy: recordings being received or recognised, of at most max_requests."""

    ready: bool
    model: str
    parameters: int
    version: str
    uptime_seconds: float
    busy: int
    max_requests: int
    max_megabytes: float
    max_audio_seconds: float


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Statuses that are answered with a `Problem`, for OpenAPI."""
    return {status: {"model": Problem, "description": _REASONS[status]} for status in statuses}


_REASONS = {
    400: "The form cannot be read",
    404: "There is no such example",
    408: "The upload took too long",
    413: "The upload is too large",
    415: "The body is no multipart form",
    422: "Not audio, too long, or an unknown format: the message says which",
    503: "Too many requests at once; the header Retry-After says in how many seconds to try again",
}

TRANSCRIBE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            },
            "encoding": {"file": {"contentType": "audio/*"}},
        }
    },
}
TRANSCRIBE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Transcript,
        "description": "The words, in the format asked for",
        "content": {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}
        | {"text/plain": {"schema": {"type": "string"}}, "application/json": {}},
    },
    **refusals(400, 408, 413, 415, 422, 503),
}
