"""An uploaded recording becomes a file, or is refused: as it arrives, before it is all there."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import BinaryIO, NamedTuple

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

_FORM_BYTES = 1 << 16  # of a form's headers and fields, beside the recording


class Limits(NamedTuple):
    """What is taken. megabytes: of an upload. seconds: of a recording. upload_seconds: to send."""

    megabytes: float
    seconds: float
    upload_seconds: float


async def receive(request: Request, folder: Path, limits: Limits) -> Path:
    """Write the form's field `file` into a folder, under the name it came with, made harmless.

    Raises:
        HTTPException: 400 it is no form that can be read, 408 it takes too long to arrive, 413
            it is too large, 415 it is no multipart form, 422 no file is in it.
    """
    if request.headers.get("content-type", "").split(";")[0].lower() != "multipart/form-data":
        raise HTTPException(
            415,
            "send the recording as a multipart form, in a field called file: curl -F file=@a.wav",
        )
    most = int(limits.megabytes * 1e6) + _FORM_BYTES
    too_large = HTTPException(
        413, f"the upload is larger than {limits.megabytes:g} MB (max_megabytes); send it in parts"
    )
    if (
        request.headers.get("content-length", "").isdecimal()
        and int(request.headers["content-length"]) > most
    ):
        raise too_large
    arrived = 0

    async def counted() -> Message:
        nonlocal arrived
        message = await request.receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise too_large
        return message

    try:
        async with asyncio.timeout(limits.upload_seconds):
            form = await Request(request.scope, counted).form(max_files=16, max_fields=64)
    except TimeoutError:
        raise HTTPException(
            408, f"the upload took more than {limits.upload_seconds:g} s (upload_seconds)"
        ) from None
    try:
        uploads = form.getlist("file")
        if len(uploads) != 1 or not isinstance(upload := uploads[0], UploadFile):
            raise HTTPException(422, "the form's field `file` must hold one recording, as a file")
        path = folder / harmless(upload.filename or "")
        await asyncio.to_thread(_copy, upload.file, path)
    finally:
        await form.close()
    return path


def harmless(name: str) -> str:
    """A file's name without folders, and without what a shell, a disk or a shard could misread."""
    last = re.split(r"[/\\]", name)[-1]
    kept = re.sub(r"[^\w.() -]", "_", last).strip(". ")[-60:].lstrip("- .")
    return kept or "recording"


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
