"""Request bodies, bounded and checked before anything looks inside them."""

import codecs
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from starlette.requests import Request

from progress_ledger.ledger.door import decode_error
from progress_ledger.ledger.errors import InvalidEvent, InvalidRun, Malformed, TooLarge

from .problems import Refusal

__all__ = ("JSON", "MAX_BODY_BYTES", "NDJSON", "check_text", "chunks", "decode", "read_body")

_T = TypeVar("_T")

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Largest body that is read as a whole."""

JSON = frozenset(("application/json",))
NDJSON = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"))


async def read_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole JSON body. Raises TooLarge, Malformed for what is not UTF-8, and Refusal (415 ``malformed``)
    for another content type.

    A body without a ``Content-Type`` is taken as JSON, an empty one whatever it says it is.
    """
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    body = b"".join(parts)
    if body:
        _check_type(request, JSON)
        check_text(body)
    return body


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """A body of JSON lines, part by part. Raises Refusal (415 ``malformed``) for another content type."""
    _check_type(request, NDJSON)
    async for part in request.stream():
        yield part


def check_text(text: bytes) -> None:
    """Raises Malformed when ``text`` is not UTF-8, or begins with a byte order mark."""
    # Whole and at once: a decoder passes over what it leaves for later, and over fields it refuses anyway.
    if text.isascii():
        return
    if text.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Malformed("The text is not JSON: it begins with a byte order mark; send UTF-8 without one.")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise decode_error(error, InvalidEvent, "body") from None


def decode(body: bytes, decoder: msgspec.json.Decoder[_T], wrong: type[InvalidEvent | InvalidRun]) -> _T:
    """The body as the decoder's type. Raises Malformed when it is no JSON at all, else ``wrong``."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise decode_error(error, wrong, "body") from None


def _check_type(request: Request, accepted: frozenset[str]) -> None:
    told = request.headers.get("content-type", "")
    media_type, _, parameters = told.partition(";")
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if (told and media_type.strip().lower() not in accepted) or charset not in ("", "utf-8", "utf8"):
        expected = " or ".join(sorted(accepted))
        raise Refusal(
            415, "malformed", f"Content-Type {told[:100]!r} is not read here; send {expected} in UTF-8."
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise Refusal(
            415, "malformed", f"Content-Encoding {coding[:40]!r} is not read here; send the body as it is."
        )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {limit} bytes; send it in parts, or as JSON lines to /v1/events."
    )
