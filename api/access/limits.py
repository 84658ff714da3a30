"""How much one caller may ask for: token buckets, as pure rules over numbers and times that are passed in.

A bucket holds ``burst`` at most and is filled at ``per_second``. What costs more than it holds has to wait;
what cannot be known beforehand (bytes of a body) may take it below zero, and the next one waits for it.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

__all__ = ("MOST_CALLERS", "Account", "Accounts", "Bucket", "Limits", "Positive", "Rate", "address_key")

Positive: TypeAlias = Annotated[float, Meta(gt=0)]
"""A number above zero, checked where it comes from outside."""

MOST_CALLERS = 20_000
"""Callers that are remembered, the ones seen last. About 500 bytes each."""

_SITE_BITS = 64
"""An IPv6 subscriber has a whole network of this prefix, and would else be 2**64 callers."""


class Rate(Struct, frozen=True):
    """So many per second in the long run, and ``burst`` at once."""

    per_second: float
    burst: float


class Limits(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What one caller may do: one token, and likewise one address.

    Requests, bytes of bodies and runs begun are rates; ``streams`` are open at the same time. Far above what
    one busy producer or one office needs.
    """

    requests_per_second: Positive = 200.0
    requests_burst: Positive = 2_000.0
    body_bytes_per_second: Positive = 8_000_000.0
    body_bytes_burst: Positive = 128_000_000.0
    runs_per_second: Positive = 20.0
    runs_burst: Positive = 5_000.0
    streams: Annotated[int, Meta(gt=0)] = 1_000

    @property
    def requests(self) -> Rate:
        """Requests of any kind, openings of streams among them."""
        return Rate(self.requests_per_second, self.requests_burst)

    @property
    def body_bytes(self) -> Rate:
        """Bytes of request bodies."""
        return Rate(self.body_bytes_per_second, self.body_bytes_burst)

    @property
    def runs(self) -> Rate:
        """Runs begun, by any of the three ways to begin one."""
        return Rate(self.runs_per_second, self.runs_burst)


class Bucket:
    """What is left of one rate. Full at first. Times are seconds of any clock that never steps back."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at = now

    def take(self, cost: float, now: float) -> float:
        """0 when ``cost`` was taken, else the seconds after which it can be. Nothing is taken then.

        What costs more than the bucket ever holds is granted by a full one.
        """
        self._fill(now)
        short = min(cost, self._rate.burst) - self._left
        if short > 0:
            return short / self._rate.per_second
        self._left -= cost
        return 0.0

    def charge(self, cost: float, now: float) -> float:
        """Take ``cost`` whatever is left; the seconds until nothing is owed any more."""
        self._fill(now)
        self._left -= cost
        return max(0.0, -self._left / self._rate.per_second)

    def _fill(self, now: float) -> None:
        gained = max(0.0, now - self._at) * self._rate.per_second
        self._left = min(self._rate.burst, self._left + gained)
        self._at = max(self._at, now)


class Account:
    """What one caller has left, and its open streams."""

    __slots__ = ("body_bytes", "requests", "runs", "streams")

    def __init__(self, limits: Limits, now: float) -> None:
        self.requests = Bucket(limits.requests, now)
        self.body_bytes = Bucket(limits.body_bytes, now)
        self.runs = Bucket(limits.runs, now)
        self.streams = 0


class Accounts:
    """The accounts of all callers, at most ``most``: beyond it those go that were away longest.

    One with open streams stays, so that nobody gets more of them by being forgotten.
    """

    def __init__(self, limits: Limits, *, most: int = MOST_CALLERS) -> None:
        self.limits = limits
        self._most = most
        self._accounts: OrderedDict[Hashable, Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def of(self, caller: Hashable, now: float) -> Account:
        """The caller's account, a fresh one for who was not seen before."""
        account = self._accounts.get(caller)
        if account is None:
            account = self._accounts[caller] = Account(self.limits, now)
            self._forget()
        else:
            self._accounts.move_to_end(caller)
        return account

    def _forget(self) -> None:
        # Each step removes one or puts it last; open streams are few beside the callers that are remembered.
        for _ in range(len(self._accounts)):
            if len(self._accounts) <= self._most:
                return
            caller, account = self._accounts.popitem(last=False)
            if account.streams:
                self._accounts[caller] = account


# Asked of every request, of the same addresses again and again.
@lru_cache(maxsize=1_024)
def address_key(address: str) -> str | None:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 one.

    None for this machine itself, behind whose address a reverse proxy may stand for everybody, and for
    what is no address, as on a Unix socket.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return address_key(str(parsed.ipv4_mapped))
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, _SITE_BITS), strict=False))
    return None if parsed.is_loopback else str(parsed)
