"""One header of a request, without an object for all of them: asked several times of every request."""

from starlette.types import Scope

__all__ = ("header_of",)


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, which is in lower case as a server hands it on; None without one."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
