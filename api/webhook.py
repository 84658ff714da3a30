"""What a webhook is told, and how it is signed: Standard Webhooks, as pure functions.

The signature is HMAC-SHA256 over ``id.timestamp.body``, so that neither a body nor an old call can be passed
off as new. A receiver that has seen an id before has seen that notice before.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from progress_ledger.ledger.pattern import fits

__all__ = (
    "GIVE_UP_AFTER",
    "NOTICES",
    "Notice",
    "Webhook",
    "fits_webhook",
    "key_of",
    "notice_of",
    "retry_delay",
    "signed_headers",
    "stall_notices",
)

Notice: TypeAlias = Literal[
    "started", "stalled", "recovered", "completed", "failed", "cancelled", "interrupted"
]

NOTICES: tuple[Notice, ...] = (
    "started",
    "stalled",
    "recovered",
    "completed",
    "failed",
    "cancelled",
    "interrupted",
)
"""What a webhook can be told of a run. The last four are how it ended."""

GIVE_UP_AFTER = 3 * 24 * 3600.0
"""Seconds for which one notice is tried again. Then it is logged and left, so that the next can go out."""

_OF_EVENT: dict[str, Notice] = {
    "started": "started",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 300.0
_SECRET_PREFIX = "whsec_"


class Webhook(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where notices go and which: ``events``, and ``kinds`` as a pattern.

    ``secret`` is what they are signed with: ``whsec_`` and base64, as the receiver has it.
    """

    url: Annotated[str, Meta(pattern=r"^https?://")]
    secret: Annotated[str, Meta(min_length=8)]
    events: tuple[Notice, ...] = NOTICES
    kinds: str = "*"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not parts.hostname or parts.username is not None:
            raise ValueError("url must name a host, and no user")
        key_of(self.secret)

    @property
    def name(self) -> str:
        """What its place in the log is kept under: the same URL goes on where it was."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


def fits_webhook(webhook: Webhook, notice: str, kind: str) -> bool:
    """Whether the webhook wants to hear of it."""
    return notice in webhook.events and fits(webhook.kinds, kind)


def notice_of(event_type: str) -> Notice | None:
    """What an event of this type is told as; None for one that nobody is told of."""
    return _OF_EVENT.get(event_type)


def stall_notices(
    told: Collection[str], stalled: Collection[str], active: Collection[str]
) -> list[tuple[str, Notice]]:
    """What is to be told of runs that fell silent or came back, given those that were ``told`` as stalled.

    A run that ended is not told as recovered: its end is.
    """
    fresh: list[tuple[str, Notice]] = [(run_id, "stalled") for run_id in sorted(set(stalled) - set(told))]
    back: list[tuple[str, Notice]] = [
        (run_id, "recovered") for run_id in sorted((set(told) & set(active)) - set(stalled))
    ]
    return [*back, *fresh]


def key_of(secret: str) -> bytes:
    """The key in a secret. Raises ValueError when it is no base64 of at least eight bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("secret must be whsec_ and base64") from None
    if len(key) < 8:
        raise ValueError("secret must hold at least 8 bytes")
    return key


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks. ``timestamp`` is in seconds since the epoch."""
    told = b"%b.%d.%b" % (message_id.encode("ascii"), timestamp, body)
    signature = base64.b64encode(hmac.digest(key_of(secret), told, "sha256")).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def retry_delay(attempt: int, chance: float) -> float:
    """Seconds before the next try after ``attempt`` failed ones: doubled each time, at most five minutes.

    ``chance``, from 0 to 1, spreads them, so that a receiver that comes back is not met by all at once.
    """
    whole = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempt - 1, 16))
    return whole * (0.75 + 0.5 * chance)
