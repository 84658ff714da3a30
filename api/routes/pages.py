"""The dashboard's files over HTTP: the page, its modules and styles, and the JavaScript for others' pages.

Guarantees: nothing is fetched from anywhere else and nothing is built; every answer carries an ``ETag`` and
is revalidated, so an upgrade is seen at the next load; every answer carries a policy under which only scripts
and styles of this server run (no inline ones), so text written by a producer can never become code.

The routes hold no secrets and ask for no token: what a page may see, the API decides.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ("CONTENT_SECURITY_POLICY", "SECURITY_HEADERS", "routes")

# ``data:`` images: the tab's icon is drawn from the run's percent. Trusted types: no way from text to markup.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
)

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "ts": "text/plain; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

# What other pages import has a short address of its own; everything else lives under ``static/``.
_PUBLIC = {
    "/": "index.html",
    "/client.js": "client.js",
    "/client.d.ts": "client.d.ts",
    "/embed.js": "embed.js",
    "/favicon.ico": "favicon.svg",
}


class _File(NamedTuple):
    body: bytes
    content_type: str
    etag: str


@cache
def _files() -> Mapping[str, _File]:
    """All files of the dashboard by name, read once: they are part of the package and never change."""
    found: dict[str, _File] = {}
    for entry in (files(__name__.rsplit(".", 2)[0]) / "dashboard").iterdir():
        suffix = entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in _TYPES:
            body = entry.read_bytes()
            found[entry.name] = _File(body, _TYPES[suffix], f'"{sha256(body).hexdigest()[:20]}"')
    return MappingProxyType(found)


def _answer(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        return Response("There is no such file.\n", 404, media_type="text/plain", headers=SECURITY_HEADERS)
    headers = {**SECURITY_HEADERS, "ETag": file.etag, "Cache-Control": "no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.content_type)


async def _page(request: Request) -> Response:
    # The route's own path, so that the page also answers when the application is mounted under a prefix.
    return _answer(request, _PUBLIC[request.scope["route"].path])


async def _static(request: Request) -> Response:
    return _answer(request, request.path_params["name"])


def routes() -> list[Route]:
    """``/``, ``/client.js``, ``/client.d.ts``, ``/embed.js``, ``/favicon.ico`` and ``/static/{name}``.

    All addresses inside the files are relative: the routes work under any prefix that ends with a slash.
    """
    return [
        *(Route(path, _page, methods=["GET"], name=f"page:{name}") for path, name in _PUBLIC.items()),
        Route("/static/{name}", _static, methods=["GET"], name="page:static"),
    ]
