"""C2SP signed notes and checkpoints: text that anybody can keep, and signatures under it.

A checkpoint's text is three lines, ``origin``, tree size, base64 root. A note is a text, an empty
line and signature lines ``— <key name> <base64(key id ‖ signature)>``. The log signs with Ed25519
(type 1); a witness adds a cosignature (type 4: eight bytes of time, then the signature). Lines of
keys that we do not know are kept as they are.

Parsing, formatting and key ids need nothing; signing and checking need the ``audit`` extra.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from ..errors import LedgerError

__all__ = (
    "AuditExtraMissing",
    "Checkpoint",
    "InvalidNote",
    "Note",
    "Signer",
    "VerifierKey",
    "format_note",
    "new_signer",
    "parse_checkpoint",
    "parse_note",
    "parse_signer",
    "parse_verifier_key",
    "signature_time",
)

_LOG, _WITNESS = 1, 4
_DASH = "\u2014 "


class InvalidNote(LedgerError):
    """The text is not a signed note, a checkpoint or a key in the published form."""

    code = "invalid_note"


class AuditExtraMissing(LedgerError):
    """Signatures need the ``audit`` extra, which is not installed."""

    code = "audit_extra_missing"

    def __init__(self) -> None:
        super().__init__(
            "Signatures need the cryptography package; install it with: pip install 'progress-ledger[audit]'"
        )


class Checkpoint(NamedTuple):
    """A head of the log: ``size`` leaves have the root hash ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines, each with its newline: what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Note(NamedTuple):
    """A text and the signature lines under it, in order, without their newlines."""

    text: str
    lines: tuple[str, ...]


def _name(name: str) -> str:
    if not name or "+" in name or any(char.isspace() or ord(char) < 32 for char in name) or len(name) > 255:
        raise InvalidNote(f"{name!r} cannot be a key's name; use 1 to 255 characters without space and '+'.")
    return name


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidNote(f"{text[:80]!r} is not base64.") from None
    if base64.b64encode(data).decode() != text:
        raise InvalidNote(f"{text[:80]!r} is not canonical base64.")
    return data


def parse_note(note: str) -> Note:
    """Split a note at its last empty line; :class:`InvalidNote` when it is not one."""
    text, found, tail = note.rpartition("\n\n")
    if not found or not tail.endswith("\n"):
        raise InvalidNote("This is no signed note: it needs a text, an empty line and signature lines.")
    lines = tail[:-1].split("\n")
    for line in lines:
        name, _, signature = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or len(_base64(signature)) < 5:
            raise InvalidNote(f"This is no signature line: {line[:120]!r}.")
        _name(name)
    return Note(text + "\n", tuple(lines))


def format_note(text: str, lines: Sequence[str]) -> str:
    """A text (ending in a newline) with signature lines under it; without lines the bare text."""
    return text + "\n" + "".join(f"{line}\n" for line in lines) if lines else text


def parse_checkpoint(text: str) -> Checkpoint:
    """The head that a checkpoint's text, or a whole signed note, speaks of."""
    body = text.partition("\n\n")[0].rstrip("\n").split("\n")
    if len(body) < 3 or not body[1].isascii() or not body[1].isdigit() or str(int(body[1])) != body[1]:
        raise InvalidNote("This is no checkpoint: its lines are origin, size and base64 root.")
    root = _base64(body[2])
    if len(root) != 32:
        raise InvalidNote(f"A root hash has 32 bytes, this one {len(root)}.")
    return Checkpoint(_name(body[0]), int(body[1]), root)


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def signature_time(line: str) -> int | None:
    """When a witness says it signed, seconds since 1970; None for a line that carries no time."""
    signature = _base64(line.rpartition(" ")[2])
    return int.from_bytes(signature[4:12], "big") if len(signature) == 4 + 8 + 64 else None


class VerifierKey(NamedTuple):
    """A public key with its name; its text form is a *vkey* as other C2SP tools read it."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tie a signature line to name, kind and key."""
        return _key_id(self.name, self.kind, self.public)

    @property
    def text(self) -> str:
        """``name+keyid+base64``, to be published and given to auditors."""
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"
        )

    def signed(self, note: Note) -> bool:
        """Whether one of the note's lines is this key's valid signature (a witness': cosignature).

        Needs the ``audit`` extra: :class:`AuditExtraMissing` when it is not installed.
        """
        for line in note.lines:
            name, _, encoded = line.removeprefix(_DASH).partition(" ")
            signature = _base64(encoded)
            if name == self.name and signature[:4] == self.key_id and self._valid(note.text, signature[4:]):
                return True
        return False

    def _valid(self, text: str, signature: bytes) -> bool:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise AuditExtraMissing from None
        message = text.encode()
        if self.kind == _WITNESS:
            stamp, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {stamp}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a vkey; its key id must fit, so that a mistyped key is refused and not merely useless."""
    name, _, rest = text.strip().partition("+")
    digits, _, encoded = rest.partition("+")
    data = _base64(encoded)
    if len(data) != 33 or data[0] not in (_LOG, _WITNESS):
        raise InvalidNote("Only Ed25519 keys (types 1 and 4) are understood.")
    key = VerifierKey(_name(name), data[0], data[1:])
    if key.key_id.hex() != digits:
        raise InvalidNote(f"The key id {digits!r} does not belong to this key; was it copied whole?")
    return key


class Signer:
    """A private key under a name: signs checkpoints of that origin. Never printed, never stored by us."""

    __slots__ = ("_key", "_seed", "name")

    def __init__(self, name: str, seed: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise AuditExtraMissing from None
        self.name = _name(name)
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def __repr__(self) -> str:
        return f"Signer({self.name!r})"

    @property
    def public(self) -> VerifierKey:
        """The key to publish."""
        return VerifierKey(self.name, _LOG, self._key.public_key().public_bytes_raw())

    @property
    def secret_text(self) -> str:
        """The key file's one line, in the form Go's note package and its relatives use."""
        secret = base64.b64encode(bytes([_LOG]) + self._seed).decode()
        return f"PRIVATE+KEY+{self.name}+{self.public.key_id.hex()}+{secret}"

    def line(self, text: str) -> str:
        """The signature line for a note with this text."""
        signature = base64.b64encode(self.public.key_id + self._key.sign(text.encode())).decode()
        return f"{_DASH}{self.name} {signature}"

    def cosign(self, text: str, time: int) -> tuple[VerifierKey, str]:
        """This key as a witness: its public key of type 4 and its line for ``text``; ``time`` in seconds."""
        key = VerifierKey(self.name, _WITNESS, self.public.public)
        message = f"cosignature/v1\ntime {time}\n{text}".encode()
        payload = key.key_id + time.to_bytes(8, "big") + self._key.sign(message)
        return key, f"{_DASH}{self.name} {base64.b64encode(payload).decode()}"


def new_signer(name: str) -> Signer:
    """A fresh key from the system's randomness."""
    from secrets import token_bytes

    return Signer(name, token_bytes(32))


def parse_signer(text: str) -> Signer:
    """Read a key file's line; :class:`InvalidNote` says what is wrong without repeating the secret."""
    parts = text.strip().split("+", 4)
    if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
        raise InvalidNote("This is no key file; make one with: progress-ledger checkpoint --new-key FILE")
    try:
        secret = base64.b64decode(parts[4], validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) != 33 or secret[0] != _LOG:
        raise InvalidNote("The key file is damaged: its last field is not an Ed25519 seed.")
    signer = Signer(parts[2], secret[1:])
    if signer.public.key_id.hex() != parts[3]:
        raise InvalidNote("The key file is damaged: key id and key do not belong together.")
    return signer
