"""Who may talk to the server at all: the ``Host`` it was called by, and the page that sent a change.

A page on the web can make a browser send requests to this machine. Two checks stop that: a server that
listens on loopback answers only to loopback names (a name rebound to 127.0.0.1 reaches nothing), and what
changes state is refused when the browser says that it comes from somebody else's page.
"""

import ipaddress
from collections.abc import Awaitable, Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from ..headers import header_of
from ..problems import problem

__all__ = ("Guard", "is_loopback", "same_origin")

_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_PORTS = {"http": 80, "https": 443}


class Guard:
    """Refuses with 403 ``forbidden``. ``loopback_only`` is for a server that is bound to loopback.

    It then still answers to the names in ``hosts``, as a reverse proxy passes them on. Pages of ``origins``
    may change things as the server's own may.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        loopback_only: bool,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._loopback_only = loopback_only
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._origins = frozenset(origins)

    # Like every layer here that only looks: who passes goes on without a coroutine of this layer around it.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            refused = self._refused(scope)
            if refused is not None:
                return problem(403, "forbidden", refused)(scope, receive, send)
        return self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> str | None:
        host = header_of(scope, b"host") or ""
        name = _name(host)
        if self._loopback_only and not is_loopback(name) and name.rstrip(".") not in self._hosts:
            return (
                f"This server does not answer as {host[:100]!r}, only as localhost or 127.0.0.1 "
                "and what `serve --allow-host` names."
            )
        if scope["method"] in _READS:
            return None
        origin = header_of(scope, b"origin")
        if origin is None:
            foreign = header_of(scope, b"sec-fetch-site") in ("cross-site", "same-site")
        else:
            foreign = origin not in self._origins and not same_origin(origin, host)
        if foreign:
            return "A page of another origin may not change anything here; use this server's own page."
        return None


# Asked of every request, and nearly always the same.
@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a host name or address without port means this machine only."""
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def same_origin(origin: str, host: str) -> bool:
    """Whether an ``Origin`` is this server, as it was called. ``null`` and what cannot be read are not.

    The scheme is left out: behind a proxy that ends TLS it differs from ours.
    """
    try:
        told = urlsplit(origin)
        called = urlsplit(f"//{host}")
        default = _PORTS.get(told.scheme)
        return (
            default is not None
            and bool(told.hostname)
            and told.hostname == called.hostname
            and (told.port or default) == (called.port or default)
        )
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
