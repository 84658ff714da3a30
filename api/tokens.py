"""Tokens: made once, shown once, kept as hashes in a file of their own beside the ledger.

Not in the ledger itself, which is handed to auditors and copied as a backup.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from progress_ledger.ledger.errors import Unavailable

from .access.rights import NOTHING, Access, Role

__all__ = ("Token", "TokenFile", "tokens_path")

_PREFIX = "pl"


class Token(Struct, kw_only=True, omit_defaults=True):
    """A token as kept: ``id`` is public, ``hash`` is SHA-256 over the secret, which is random and long."""

    id: str
    hash: str
    role: Role
    created: float
    kinds: str | None = None
    expires: float | None = None
    revoked: float | None = None
    note: str | None = None

    def valid(self, now: float) -> bool:
        """Whether it opens anything at ``now``."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def tokens_path(ledger: str | Path) -> Path:
    """Where the tokens of a ledger file are."""
    return Path(f"{ledger}-tokens")


class TokenFile:
    """The tokens of one ledger. Changes by other processes are seen at the next look."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def all(self) -> list[Token]:
        """Every token ever made, oldest first. Raises Unavailable when the file cannot be read."""
        self._look()
        return list(self._tokens.values())

    def make(
        self, role: Role, *, kinds: str | None = None, expires: float | None = None, note: str | None = None
    ) -> tuple[Token, str]:
        """A new token and its text, which is kept nowhere. ``expires`` is in seconds since the epoch."""
        secret = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(4),
            hash=_hash(secret),
            role=role,
            created=self._clock(),
            kinds=kinds,
            expires=expires,
            note=note,
        )
        with self._changing():
            self._tokens[token.id] = token
        return token, f"{_PREFIX}_{token.id}_{secret}"

    def revoke(self, token_id: str) -> bool:
        """Make a token worthless from now on; False when there is none with that id."""
        with self._changing():
            token = self._tokens.get(token_id)
            if token is None:
                return False
            token.revoked = token.revoked or self._clock()
            return True

    def access(self, text: str) -> Access:
        """What the holder of a token's text may do now; nothing for a text that is no valid token's."""
        self._look()
        prefix, _, rest = text.partition("_")
        token_id, _, secret = rest.partition("_")
        token = self._tokens.get(token_id)
        # The hash is compared also when there is no such token, so that the time tells nothing.
        right = hmac.compare_digest(_hash(secret), "0" * 64 if token is None else token.hash)
        if token is None or not right or prefix != _PREFIX or not token.valid(self._clock()):
            return NOTHING
        return Access(role=token.role, kinds=token.kinds, token=token.id, expires=token.expires)

    def still(self, access: Access) -> bool:
        """Whether an access given earlier holds still."""
        if access.token is None:
            return True
        self._look()
        token = self._tokens.get(access.token)
        return token is not None and token.valid(self._clock())

    def _look(self) -> None:
        # Asked with every request. Where there are no tokens, a question costs less than an exception.
        if self._stamp is None and not self._tokens and not os.access(self._name, os.F_OK):
            return
        try:
            found = os.stat(self._name)
        except FileNotFoundError:
            self._stamp, self._tokens = None, {}
            return
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp == self._stamp:
            return
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=list[Token])
        except (msgspec.MsgspecError, OSError) as error:
            told = str(error)
            if isinstance(error, PermissionError):
                told = "it is its owner's alone; make tokens as the user that serves"
            raise Unavailable(f"{self._path} cannot be read as tokens: {told}.") from None
        self._stamp, self._tokens = stamp, {token.id: token for token in kept}

    @contextmanager
    def _changing(self) -> Generator[None, None, None]:
        # Written beside and renamed over, so that a reader sees the old file or the new one.
        self._look()
        yield
        beside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Unavailable(
                f"{self._path} cannot be written ({error.strerror}); check that its folder is there "
                "and can be written."
            ) from None
        with os.fdopen(descriptor, "wb") as file:
            if os.name == "posix" and self._stamp is not None:
                was = os.stat(self._name)
                if was.st_uid != os.geteuid():
                    # Changed by root: whoever serves has to read it as before.
                    os.fchown(descriptor, was.st_uid, was.st_gid)
            file.write(msgspec.json.format(msgspec.json.encode(list(self._tokens.values())), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        self._stamp = None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
