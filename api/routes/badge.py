"""A badge: the state of a run, of the newest run of a kind, or of a slot, as a small SVG to show anywhere."""

from functools import partial
from hashlib import sha256
from typing import NamedTuple
from xml.sax.saxutils import escape

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.events import ACTIVE
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections.snapshot import Snapshot

from ..access.rights import access_of
from ..problems import Refusal
from ..replies import matches
from ..service import Service

__all__ = ("Badge", "badge_of", "routes", "svg")

_COLOURS = {
    "running": "#1d5bb8",
    "stalled": "#944c00",
    "queued": "#5a6472",
    "paused": "#4f5b78",
    "completed": "#1b7340",
    "failed": "#b1213a",
    "cancelled": "#5a6472",
    "interrupted": "#6a3db0",
}
_UNKNOWN = "#5a6472"
_LONGEST = 48
_NARROW, _WIDE = frozenset(" .,:;'|!()[]{}fijlrtI1-"), frozenset("mwMW%@")


class Badge(NamedTuple):
    """What a badge says: ``label`` on its left, ``value`` on its right, on a ground of ``colour``."""

    label: str
    value: str
    colour: str


def badge_of(run: Snapshot | None, label: str) -> Badge:
    """The badge of a run; of no run, one that says so. Below 100 % until the run has completed."""
    if run is None:
        return Badge(label, "no run", _UNKNOWN)
    status = "stalled" if run.stalled else run.status
    share = None if run.percent is None else f"{min(99, int(run.percent))} %"
    value = status
    if status == "running":
        value = share or f"{run.done:,} {run.unit or 'items'}"
    elif status in ("stalled", "paused") and share is not None:
        value = f"{status} at {share}"
    return Badge(label, value, _COLOURS.get(status, _UNKNOWN))


def svg(badge: Badge) -> bytes:
    """The badge as a document of its own, with its words as title; any text may stand in it."""
    label, value = _clean(badge.label), _clean(badge.value)
    left, right = _width(label), _width(value)
    whole = left + right
    words = escape(f"{label}: {value}", {'"': "&quot;"})
    texts = "".join(
        f'<text x="{middle:.0f}" y="14" textLength="{width - 12:.0f}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(text)}</text>"
        for text, middle, width in ((label, left / 2, left), (value, left + right / 2, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="20" role="img" '
        f'aria-label="{words}"><title>{words}</title>'
        f'<clipPath id="r"><rect width="{whole:.0f}" height="20" rx="4"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left:.0f}" height="20" fill="#39424e"/>'
        f'<rect x="{left:.0f}" width="{right:.0f}" height="20" fill="{badge.colour}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-size="11" '
        f'font-family="Verdana,DejaVu Sans,sans-serif">{texts}</g></svg>'
    ).encode()


def routes(service: Service) -> list[BaseRoute]:
    """``GET /badge.svg?run=ID``, ``?kind=KIND`` or ``?slot=NAME``; ``&label=`` sets the words on the left."""
    return [Route("/badge.svg", partial(_badge, service), methods=["GET"], name="badge")]


async def _badge(service: Service, request: Request) -> Response:
    query = request.query_params
    name = next((name for name in ("run", "kind", "slot") if query.get(name)), None)
    if name is None:
        raise Refusal(400, "malformed", "Say what the badge is for: give run, kind or slot.", field="run")
    access = access_of(request.scope)
    access.require("reader")
    run = await _newest(service, name, query[name])
    if run is not None and not access.sees(run.kind):
        run = None
    label = query.get("label") or (run.title if name == "run" and run and run.title else query[name])
    body = svg(badge_of(run, label))
    tag = f'W/"{sha256(body).hexdigest()[:20]}"'
    # An image is asked for again each time it is shown; the tag makes that cheap.
    headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    headers["Content-Security-Policy"] = "default-src 'none'; style-src 'none'; sandbox"
    if matches(tag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    found = 404 if run is None and name == "run" else 200
    return Response(body, found, headers=headers, media_type="image/svg+xml")


async def _newest(service: Service, name: str, value: str) -> Snapshot | None:
    if name == "run":
        return await service.projector.snapshot(value)
    where = RunFilter(kind=value) if name == "kind" else RunFilter(slot=value)
    for one in (replace(where, statuses=ACTIVE), where):
        page = await service.ledger.log.runs(one, order="-created", limit=1)
        if page.runs:
            return await service.projector.snapshot(page.runs[0].run_id)
    return None


def _clean(text: str) -> str:
    # XML has no place for control characters, escaped or not, nor for halves of surrogate pairs.
    kept = "".join(sign for sign in text if sign.isprintable() or sign == " ")
    return kept if len(kept) <= _LONGEST else f"{kept[: _LONGEST - 1]}…"


def _width(text: str) -> float:
    # Near enough: the real width is stretched to this one.
    signs = sum(
        4.2 if sign in _NARROW else 9.5 if sign in _WIDE or ord(sign) > 0x2E80 else 6.9 for sign in text
    )
    return signs + 12
