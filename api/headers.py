"""Headers of a request, without an object for all of them: asked several times of every request."""

from starlette.types import Scope

__all__ = ("accepts", "header_of")


def accepts(accept: str, media_type: str) -> bool:
    """Whether an ``Accept`` header names ``media_type`` (in lower case), and wants JSON no more than that.

    Wildcards do not count: they leave the choice to the server.
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 1.0
    asked = weights.get(media_type, 0.0)
    return asked > 0.0 and asked >= weights.get("application/json", 0.0)


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, which is in lower case as a server hands it on; None without one."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
