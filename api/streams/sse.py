"""Server-sent events as bytes (WHATWG HTML, section 9.2), in the form every client we know reads alike.

Lines end in LF only; ``event`` comes first, then one ``data`` line, then ``id`` last, so that a frame
cut in the middle moves nobody's cursor. Data is ASCII JSON on one line. Only durable facts carry an id.
"""

from collections.abc import Mapping

from progress_ledger.ledger.codec import ascii_json

__all__ = (
    "HEADERS",
    "KEEP_ALIVE",
    "busy",
    "drain",
    "event_frame",
    "event_id",
    "frame",
    "hello",
    "with_id",
    "without_id",
)

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
"""What a stream's response says of itself."""

KEEP_ALIVE = b":\n"
"""A comment without a blank line after it: with one, three clients make an empty event of it."""


def event_id(epoch: str, position: int) -> bytes:
    """The id of what happened at ``position``: no character in it needs a CORS preflight."""
    return b"%b-%d" % (epoch.encode("ascii"), position)


def frame(name: str, data: bytes, *, id: bytes | None = None) -> bytes:  # noqa: A002 - the field's own name
    """One frame. ``data`` is one line of ASCII; ``id`` is given for durable facts only."""
    if id is None:
        return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), data)
    return b"event: %b\ndata: %b\nid: %b\n\n" % (name.encode("ascii"), data, id)


def event_frame(name: bytes, body: bytes, run: bytes, *, position: int, epoch: bytes, final: bool) -> bytes:
    """The frame of an event stored as ``body``, and of its run after it: what :func:`frame` makes of both."""
    # In one piece: every event goes through here, and each joining of parts would copy it once more.
    end = b',"final":true' if final else b""
    return b'event: %b\ndata: {"event":{"position":%d,%b,"run":%b%b}\nid: %b-%d\n\n' % (
        name,
        position,
        body[1:],
        run,
        end,
        epoch,
        position,
    )


def with_id(whole: bytes, id: bytes) -> bytes:  # noqa: A002 - the field's own name
    """The same frame, which has no id yet, with one."""
    return whole[:-1] + b"id: %b\n\n" % id


def without_id(whole: bytes) -> bytes:
    """The same frame without its id: shown, but no place to come back to."""
    return whole.rpartition(b"\nid: ")[0] + b"\n\n" if b"\nid: " in whole else whole


def hello(*, status: str, reason: str | None, epoch: str, head: int, retry_ms: int) -> bytes:
    """How a stream opens: what became of the caller's cursor, and how long to wait before reconnecting."""
    return _with_retry(retry_ms, "hello", {"status": status, "reason": reason, "epoch": epoch, "head": head})


def busy(*, reason: str, retry_ms: int) -> bytes:
    """Come back later. An HTTP error would end a browser's EventSource for good."""
    return _with_retry(retry_ms, "busy", {"reason": reason})


def drain(*, retry_ms: int) -> bytes:
    """The server stops; reconnect elsewhere, or here in a moment."""
    return _with_retry(retry_ms, "drain", {"reason": "stopping"})


def _with_retry(retry_ms: int, name: str, data: Mapping[str, object]) -> bytes:
    return b"retry: %d\n" % retry_ms + frame(name, ascii_json(data))
