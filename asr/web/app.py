"""The page and its API as one application, in which every error has one shape."""

from functools import partial
from importlib.metadata import version
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from asr.web.api import Site, router

_FILES = {
    "/": ("asr.web", "page.html", "text/html"),
    "/page.css": ("asr.reporting", "page.css", "text/css"),  # the look of all pages
    "/serve.css": ("asr.web", "serve.css", "text/css"),
    "/serve.js": ("asr.web", "serve.js", "text/javascript"),
    "/recorder.js": ("asr.web", "recorder.js", "text/javascript"),
    "/player.js": ("asr.web", "player.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def create_app(site: Site) -> FastAPI:
    """The application that serves a site."""
    app = FastAPI(
        title="asr",
        description="A trained speech recogniser: recordings to words, times and confidences.",
        version=version("asr"),
        docs_url=None,  # FastAPI's pages of documentation load scripts from elsewhere
        redoc_url=None,
    )
    app.state.site = site
    app.include_router(router)
    for path, source in _FILES.items():
        app.add_api_route(path, partial(_file, *source), include_in_schema=False)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)
    return app


async def _file(package: str, name: str, media_type: str) -> Response:
    content = (files(package) / name).read_bytes()
    return Response(content, media_type=media_type, headers=_HEADERS)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "; ".join(said)}, 422)


async def _failed(_: Request, error: Exception) -> Response:
    message = f"this is a fault of the server ({type(error).__name__}); its log says more"
    return JSONResponse({"error": message}, 500)
