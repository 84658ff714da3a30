"""Answers: JSON that is ASCII, and snapshots with their entity tag."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.projections.snapshot import Snapshot

__all__ = ("etag", "json_reply", "matches", "raw_reply", "run_path", "snapshot_reply")


def json_reply(value: object, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON that nobody keeps: the next question may have another answer."""
    return raw_reply(ascii_json(value), status, headers=headers)


def raw_reply(body: bytes, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that is encoded already."""
    return Response(
        body, status, headers={"Cache-Control": "no-cache", **(headers or {})}, media_type="application/json"
    )


def etag(epoch: str, snapshot: Snapshot) -> str:
    """A weak tag that changes with the log, the run's version and ``stalled``, not with what merely ages."""
    return f'W/"{epoch}-{snapshot.version}-{"stalled" if snapshot.stalled else "ok"}"'


def matches(tag: str, if_none_match: str | None) -> bool:
    """Whether an ``If-None-Match`` names the tag, by weak comparison; ``*`` names every one."""
    if if_none_match is None:
        return False
    told = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in told or tag.removeprefix("W/") in told


def snapshot_reply(
    request: Request,
    epoch: str,
    snapshot: Snapshot,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The snapshot with its tag; for a read whose ``If-None-Match`` names that tag, 304 without a body."""
    tagged = {"ETag": etag(epoch, snapshot), **(headers or {})}
    if request.method in ("GET", "HEAD") and matches(tagged["ETag"], request.headers.get("if-none-match")):
        return Response(status_code=304, headers={"Cache-Control": "no-cache", **tagged})
    return json_reply(snapshot, status, headers=tagged)


def run_path(request: Request, run_id: str) -> str:
    """The run's address, below whatever prefix the application is mounted under."""
    return f"{request.scope.get('root_path', '').rstrip('/')}/v1/runs/{run_id}"
