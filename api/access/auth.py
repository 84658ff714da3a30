"""Who is calling: a bearer token, or the cookie that the login form set.

Where no tokens were made everybody who reaches the server may do everything, which is why it then listens
on loopback only. Where there are tokens, every address asks for one but the few that hold nothing.
"""

from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus

from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from progress_ledger.ledger.errors import LedgerError

from ..bodies import read_body
from ..headers import header_of
from ..problems import Refusal, problem_of
from ..replies import json_reply
from ..tokens import TokenFile
from .rights import EVERYTHING, NOTHING, Access, access_of, put_access

__all__ = ("COOKIE", "OPEN_PATHS", "Authentication", "caller", "routes")

COOKIE = "progress_ledger"
"""The cookie's name. It is HttpOnly and SameSite=Strict: no script reads it, no other site sends it."""

OPEN_PATHS = frozenset(
    (
        "/",
        "/client.js",
        "/client.d.ts",
        "/embed.js",
        "/favicon.ico",
        "/healthz",
        "/readyz",
        "/login",
        "/logout",
    )
)
"""What answers without a token: files that hold nothing, the login, and whether the server lives."""

_OPEN_FOLDER = "/static/"
_NOT_VALID = "That is no valid token; ask for one that was not revoked."
_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_COOKIE_SECONDS = 30 * 24 * 3600


class Authentication:
    """Leaves the caller's access in the scope, and refuses with 401 or 403 what it does not reach.

    Reading takes a reader, everything else a producer; what takes an operator says so in its own place.
    """

    def __init__(self, app: ASGIApp, *, tokens: TokenFile | None) -> None:
        self._app = app
        self._tokens = tokens

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            try:
                access = caller(scope, self._tokens)
                put_access(scope, access)
                path = scope["path"].removeprefix(scope.get("root_path", ""))
                if path not in OPEN_PATHS and not path.startswith(_OPEN_FOLDER):
                    if access.role == "none" and _bearer(scope):
                        raise Refusal(401, "unauthorized", _NOT_VALID)
                    access.require("reader" if scope["method"] in _READS else "producer")
            except (Refusal, LedgerError) as error:
                response = problem_of(error)
                if response.status_code == HTTPStatus.UNAUTHORIZED:
                    response.headers["WWW-Authenticate"] = 'Bearer realm="progress-ledger"'
                return response(scope, receive, send)
        return self._app(scope, receive, send)


def caller(scope: Scope, tokens: TokenFile | None) -> Access:
    """What a request may do by its headers. A bearer token goes before the cookie."""
    if tokens is None or not tokens.all():
        return EVERYTHING
    bearer = _bearer(scope)
    if bearer is not None:
        return tokens.access(bearer)
    kept = cookie_parser(header_of(scope, b"cookie") or "").get(COOKIE)
    return tokens.access(kept) if kept else NOTHING


def _bearer(scope: Scope) -> str | None:
    scheme, _, bearer = (header_of(scope, b"authorization") or "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


def routes(tokens: TokenFile | None) -> list[BaseRoute]:
    """``GET`` and ``POST /login``, ``POST /logout``."""
    return [
        Route("/login", _who, methods=["GET"], name="who"),
        Route("/login", partial(_login, tokens), methods=["POST"], name="login"),
        Route("/logout", _logout, methods=["POST"], name="logout"),
    ]


async def _who(request: Request) -> Response:
    access = access_of(request.scope)
    return json_reply({"role": access.role, "kinds": access.kinds})


async def _login(tokens: TokenFile | None, request: Request) -> Response:
    text = (await read_body(request)).decode("utf-8", "replace").strip()
    access = EVERYTHING if tokens is None or not tokens.all() else tokens.access(text)
    if not access.may("reader"):
        raise Refusal(401, "unauthorized", _NOT_VALID)
    response = json_reply({"role": access.role, "kinds": access.kinds})
    response.set_cookie(
        COOKIE,
        text,
        max_age=_COOKIE_SECONDS,
        path=request.scope.get("root_path") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


async def _logout(request: Request) -> Response:
    response = json_reply({"role": "none", "kinds": None})
    path = request.scope.get("root_path") or "/"
    response.delete_cookie(COOKIE, path=path, httponly=True, samesite="strict")
    return response
