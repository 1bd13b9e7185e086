"""The JSON API: recordings to words, examples, and how the server is."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from asr.corpus.manifest import Utterance
from asr.recognizer.words import TimedText
from asr.reporting.timed_text import FORMATS
from asr.scoring.transcript import Heard
from asr.web import answers
from asr.web.browser_audio import readable
from asr.web.desk import Desk
from asr.web.examples import as_wav
from asr.web.reception import Limits, receive

router = APIRouter()


@dataclass(frozen=True)
class Site:
    """What is served. model: its name; parameters: how many numbers were trained."""

    desk: Desk
    limits: Limits
    examples: Sequence[Utterance]
    model: str
    parameters: int
    started: float = field(default_factory=time.monotonic)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _format(
    format: Annotated[str, Query(json_schema_extra={"enum": answers.FORMAT_NAMES})] = "json",
) -> str:
    if format not in answers.FORMAT_NAMES:
        known = ", ".join(answers.FORMAT_NAMES)
        raise HTTPException(422, f"format={format} is unknown: choose from {known}")
    return format


async def _recording(
    request: Request, site: Annotated[Site, Depends(_site)]
) -> AsyncIterator[Path]:
    """The upload as a file, which is there, as is its place, until the answer has been sent."""
    with site.desk.place(), TemporaryDirectory(prefix="asr-serve-") as folder:
        yield await receive(request, Path(folder), site.limits)


@router.post(
    "/transcribe",
    openapi_extra={"requestBody": answers.TRANSCRIBE_BODY},
    responses=answers.TRANSCRIBE_ANSWERS,
    response_class=Response,
)
async def transcribe(
    site: Annotated[Site, Depends(_site)],
    format: Annotated[str, Depends(_format)],
    path: Annotated[Path, Depends(_recording)],
) -> Response:
    """Recognise a recording: wav, flac, mp3, ogg or opus, or what browsers record (webm, mp4).

    With format=lines each piece is a line of JSON as soon as it is recognised, with its new words
    and the seconds heard so far; the last line is `{"formats": {...}}`, the whole in every other
    format, or, if the recording turns out to be damaged, `{"error": "..."}`.
    """
    with _explained(path):
        heard = site.desk.hear(await asyncio.to_thread(readable, path, site.limits.seconds))
        first = await anext(heard)  # what is wrong from the start is answered by a status
    media = answers.MEDIA_TYPES.get(format, "text/plain")
    if format == answers.LINES:
        return StreamingResponse(_lines(path, first, heard), media_type=media)
    with _explained(path):
        pieces = [first, *[piece async for piece in heard]]
    return Response(FORMATS[format][0](_timed(path, pieces)), media_type=media)


@router.get("/examples")
async def list_examples(site: Annotated[Site, Depends(_site)]) -> list[answers.Example]:
    """The recordings that the page offers."""
    return [answers.Example(name=e.id, duration=e.duration, text=e.text) for e in site.examples]


@router.get(
    "/examples/{number}",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}}}, **answers.refusals(404, 422)},
)
def get_example(site: Annotated[Site, Depends(_site)], number: int) -> Response:
    """One of them, counted from 0, as a WAV file."""
    if not 0 <= number < len(site.examples):
        raise HTTPException(404, f"there is no example {number}: there are {len(site.examples)}")
    example = site.examples[number]
    try:
        return Response(as_wav(example), media_type="audio/wav")
    except ValueError as error:
        raise HTTPException(422, str(error).replace(example.audio, example.id)) from None


@router.get("/health")
async def health(site: Annotated[Site, Depends(_site)]) -> answers.Health:
    """Whether the server is well, what it serves, and how busy it is."""
    return answers.Health(
        ready=True,
        model=site.model,
        parameters=site.parameters,
        version=version("asr"),
        uptime_seconds=round(time.monotonic() - site.started, 3),
        busy=site.desk.busy,
        max_requests=site.desk.max_requests,
        max_megabytes=site.limits.megabytes,
        max_audio_seconds=site.limits.seconds,
    )


async def _lines(path: Path, first: Heard, rest: AsyncIterator[Heard]) -> AsyncIterator[str]:
    pieces = [first]
    yield FORMATS["json"][0](_timed(path, [first]))
    try:
        with _explained(path):
            async for piece in rest:
                pieces.append(piece)
                yield FORMATS["json"][0](_timed(path, [piece]))
        whole = _timed(path, pieces)
        formats = {name: render(whole) for name, (render, _) in FORMATS.items()}
        yield json.dumps({"formats": formats}, ensure_ascii=False) + "\n"
    except HTTPException as error:  # too late for a status
        yield json.dumps({"error": error.detail}, ensure_ascii=False) + "\n"


def _timed(path: Path, pieces: Sequence[Heard]) -> TimedText:
    words = tuple(word for piece in pieces for word in piece.words)
    return TimedText(path.name, path.name, 0.0, pieces[-1].end, words)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A recording's errors become answers, which name the file as its owner does."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(422, str(error).replace(f"{path.parent}/", "")) from None
