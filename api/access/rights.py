"""Who may do what: pure rules, asked wherever something is shown or changed.

A reader sees, a producer also begins runs and appends to them, an operator may do everything. Any of them
may be held to the kinds that match a pattern; what lies outside of it does not exist for its holder.
"""

from typing import Literal, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace
from starlette.types import Scope

from progress_ledger.ledger.errors import RunNotFound
from progress_ledger.ledger.log import RunFilter
from progress_ledger.ledger.pattern import fits

from ..problems import Refusal

__all__ = ("EVERYTHING", "NOTHING", "Access", "Role", "access_of", "put_access")

Role: TypeAlias = Literal["none", "reader", "producer", "operator"]

_RANK: dict[Role, int] = {"none": 0, "reader": 1, "producer": 2, "operator": 3}
_KEY = "progress_ledger.access"


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
        return self.role != "none" and (self.kinds is None or fits(self.kinds, kind))

    def narrowed(self, where: RunFilter) -> RunFilter:
        """The filter, less what does not exist for the caller."""
        return where if self.kinds is None else replace(where, kind_pattern=self.kinds)

    def may(self, role: Role) -> bool:
        """Whether the caller has at least this role."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raises Refusal: 401 ``unauthorized`` without a token, 403 ``forbidden`` with a lesser one."""
        if self.may(role):
            return
        if self.role == "none":
            raise Refusal(401, "unauthorized", "This needs a token; send it as Authorization: Bearer.")
        raise Refusal(403, "forbidden", f"This needs the role {role}; the token's is {self.role}.")

    def require_own(self, kind: str) -> None:
        """Raises Refusal, 403 ``forbidden``, when the caller names a kind that it may not report."""
        if kind and not self.sees(kind):
            raise Refusal(403, "forbidden", f"This token may not report runs of kind {kind[:128]!r}.")

    def require_kind(self, kind: str, run_id: str) -> None:
        """Raises RunNotFound when runs of the kind do not exist for the caller."""
        if not self.sees(kind):
            raise RunNotFound(run_id)

    def require_all(self) -> None:
        """Raises Refusal, 404 ``not_found``, for a caller held to some kinds: what is asked for shows all."""
        if self.kinds is not None:
            raise Refusal(404, "not_found", "There is nothing at this address for this token.")


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
