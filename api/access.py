"""Who may do what: pure rules, asked wherever something is shown or changed.

A reader sees, a producer also begins runs and appends to them, an operator may do everything. Any of them
may be held to the kinds that match a pattern; what lies outside of it does not exist for its holder.
"""

import re
from typing import Literal, TypeAlias, cast

from msgspec import Struct
from starlette.types import Scope

from progress_ledger.ledger.errors import RunNotFound

from .problems import Refusal

__all__ = ("EVERYTHING", "NOTHING", "Access", "Role", "access_of", "matches_kind")

Role: TypeAlias = Literal["none", "reader", "producer", "operator"]

_RANK: dict[Role, int] = {"none": 0, "reader": 1, "producer": 2, "operator": 3}
_KEY = "progress_ledger.access"


def matches_kind(pattern: str, kind: str) -> bool:
    """Whether ``pattern`` means ``kind``; ``*`` stands for any text in it and ``?`` for one character."""
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), kind, re.DOTALL) is not None


class Access(Struct, kw_only=True, frozen=True):
    """What a caller may do. ``kinds`` is a pattern, None for all; ``token`` the id of the token it came with.

    ``expires`` is in seconds since the epoch.
    """

    role: Role
    kinds: str | None = None
    token: str | None = None
    expires: float | None = None

    def sees(self, kind: str) -> bool:
        """Whether runs of the kind exist for the caller."""
        return self.role != "none" and (self.kinds is None or matches_kind(self.kinds, kind))

    def may(self, role: Role) -> bool:
        """Whether the caller has at least this role."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raises Refusal: 401 ``unauthorized`` without a token, 403 ``forbidden`` with too little of a role."""
        if self.may(role):
            return
        if self.role == "none":
            raise Refusal(401, "unauthorized", "This needs a token; send it as Authorization: Bearer.")
        raise Refusal(403, "forbidden", f"This needs the role {role}; the token's is {self.role}.")

    def require_kind(self, kind: str | None, run_id: str) -> None:
        """Raises RunNotFound when the run is of a kind that does not exist for the caller, or of none."""
        if kind is None or not self.sees(kind):
            raise RunNotFound(run_id)


EVERYTHING = Access(role="operator")
"""What a caller on loopback may do while there are no tokens."""

NOTHING = Access(role="none")
"""What a caller without a valid token may do."""


def access_of(scope: Scope) -> Access:
    """The caller's access, as the authentication left it in the scope; everything where there is none."""
    return cast("Access", scope.get(_KEY, EVERYTHING))


def put_access(scope: Scope, access: Access) -> None:
    """Leave the caller's access in the scope."""
    scope[_KEY] = access
