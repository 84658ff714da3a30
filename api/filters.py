"""Which runs a query means, in the words of the list and of the stream over many runs."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace
from starlette.datastructures import QueryParams

from progress_ledger.ledger.events import ACTIVE, TERMINAL
from progress_ledger.ledger.log import RunFilter

from .problems import Refusal

__all__ = (
    "Listing",
    "Order",
    "STATUSES",
    "listing_of",
    "make_cursor",
    "number_of",
    "read_cursor",
    "run_filter",
)

Order: TypeAlias = Literal["created", "-created"]

STATUSES = ACTIVE | TERMINAL
"""Every status a run can have."""

_MOST_LABELS = 64

_ORDERS: dict[str, Order] = {"created": "created", "-created": "-created"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Listing(NamedTuple):
    """A question to the list. ``stalled`` None asks for both; ``after`` is the run number to go on from."""

    where: RunFilter
    stalled: bool | None
    order: Order
    limit: int
    after: int | None


def run_filter(query: QueryParams) -> RunFilter:
    """The runs meant by ``kind``, ``scope``, ``parent``, ``slot``, ``label=key:value``, ``run`` and ``q``.

    ``kind``, ``label`` and ``run`` may be given several times: any of the kinds, all of the labels, any of
    the runs. What is not known is ignored. Raises Refusal (400 ``malformed``).
    """
    kinds = query.getlist("kind")
    run_ids = _list(query.getlist("run"))
    labels: list[tuple[str, str]] = []
    for label in query.getlist("label"):
        key, colon, value = label.partition(":")
        if not key or not colon:
            raise _wrong("label", label, "write key:value")
        labels.append((key, value))
    labels = list(dict.fromkeys(labels))
    if len(labels) > _MOST_LABELS:
        raise Refusal(
            400,
            "malformed",
            f"{len(labels)} labels are asked for, and no run has more than {_MOST_LABELS}; ask for fewer.",
            field="label",
        )
    return RunFilter(
        kind=kinds[0] if len(kinds) == 1 else None,
        kinds=frozenset(kinds) if len(kinds) > 1 else None,
        scope=query.get("scope"),
        parent=query.get("parent"),
        slot=query.get("slot"),
        labels=tuple(labels),
        run_ids=frozenset(run_ids) if run_ids else None,
        q=query.get("q") or None,
    )


def listing_of(query: QueryParams) -> Listing:
    """The whole question of ``GET /v1/runs``. Raises Refusal (400 ``malformed``)."""
    where = run_filter(query)
    statuses = _list(query.getlist("status"))
    for status in statuses:
        if status not in STATUSES:
            raise _wrong("status", status, f"use {', '.join(sorted(STATUSES))}")
    if statuses:
        where = replace(where, statuses=frozenset(statuses))
    sort = query.get("sort", "-created")
    order = _ORDERS.get(sort)
    if order is None:
        raise _wrong("sort", sort, "use created or -created")
    stalled = query.get("stalled")
    if stalled is not None and stalled.lower() not in _FLAGS:
        raise _wrong("stalled", stalled, "use true or false")
    cursor = query.get("cursor")
    return Listing(
        where=where,
        stalled=None if stalled is None else _FLAGS[stalled.lower()],
        order=order,
        limit=number_of(query, "limit", default=100, lowest=1, highest=500),
        after=None if cursor is None else read_cursor(cursor, order),
    )


def number_of(query: QueryParams, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A whole number from the query. Raises Refusal (400 ``malformed``) when it is none, or out of range."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and lowest <= int(text) <= highest):
        raise _wrong(name, text, f"use a whole number from {lowest} to {highest}")
    return int(text)


def make_cursor(number: int, order: Order) -> str:
    """Where the list goes on: opaque to clients, good for as long as the log is."""
    return urlsafe_b64encode(f"{order}:{number}".encode("ascii")).decode("ascii").rstrip("=")


def read_cursor(cursor: str, order: Order) -> int:
    """The run number in a cursor. Raises Refusal (400 ``malformed``), also for one of the other order."""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        text = ""
    told, _, number = text.rpartition(":")
    plain = number.isascii() and number.isdigit() and len(number) <= 18
    # The decoder passes over characters that do not belong; what it makes of them is no cursor of ours.
    if told != order or not plain or make_cursor(int(number), order) != cursor:
        raise _wrong("cursor", cursor, "take it unchanged from `next`, and keep the sort it was given with")
    return int(number)


def _list(values: Sequence[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def _wrong(name: str, value: str, advice: str) -> Refusal:
    return Refusal(400, "malformed", f"{name} {value[:100]!r} is not understood; {advice}.", field=name)
