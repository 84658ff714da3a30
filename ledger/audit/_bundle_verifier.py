"""Check an exported bundle of a progress ledger: standard library only, nothing of the ledger's code.

    python verify_bundle.py EVENTS.ndjson[.gz] [--checkpoint KEPT] [--key VKEY]

Beside EVENTS lies EVENTS.manifest.json. KEPT is a checkpoint from another day or another hand, VKEY the
log's public key as its operator published it. Exit 0: everything that was asked for holds.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import NoReturn

EVENT = re.compile(
    rb'\{"position":(\d+),("run_id":"([^"\\]+)","version":(\d+),"time":"[0-9T:.-]{26}Z","type":"([a-z_]+)",'
    rb'"data":\{.*\}(?:,"event_id":".*")?\})'
)
TERMINAL = (b"completed", b"failed", b"cancelled", b"interrupted")


def fail(text: str) -> NoReturn:
    sys.exit(f"NOT VERIFIED: {text}")


# The tree (RFC 6962): a stack of complete subtrees, grown from the left.
def push(stack: list[tuple[int, bytes]], node: bytes, width: int) -> None:
    while stack and stack[-1][0] == width:
        node, width = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest(), width * 2
    stack.append((width, node))


def root(stack: list[tuple[int, bytes]]) -> bytes:
    node = stack[-1][1] if stack else hashlib.sha256(b"").digest()
    for _, left in reversed(stack[:-1]):
        node = hashlib.sha256(b"\x01" + left + node).digest()
    return node


# Ed25519 (RFC 8032), checking only: nothing here is secret, so plain integers will do.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    k = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P) % P


def times(n: int, point: Point) -> Point:
    total = (0, 1)
    while n:
        total, point, n = add(total, point) if n & 1 else total, add(point, point), n >> 1
    return total


def point(data: bytes) -> Point:
    y = int.from_bytes(data, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or y >= P:
        raise ValueError("not a point of the curve")
    return (P - x if x & 1 != data[31] >> 7 else x), y


def signed(text: str, signature: bytes, public: bytes) -> bool:
    try:
        r, a, s = point(signature[:32]), point(public), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + text.encode()).digest(), "little") % L
    base = point(bytes.fromhex("58" + "66" * 31))
    return s < L and times(8, times(s, base)) == times(8, add(r, times(k, a)))


def checkpoint(note: str, vkey: str | None) -> tuple[str, int, bytes]:
    text, _, lines = note.partition("\n\n")
    origin, size, encoded = [*text.split("\n"), "", ""][:3]
    if not size.isdecimal():
        fail(f"this is no checkpoint: {note[:100]!r}")
    if vkey:
        name, digits, key = [*vkey.split("+", 2), "", ""][:3]
        public = base64.b64decode(key)
        line = f"\u2014 {name} "
        found = [base64.b64decode(each[len(line) :]) for each in lines.split("\n") if each.startswith(line)]
        if public[:1] != b"\1" or hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] != digits:
            fail(f"{vkey!r} is no Ed25519 key")
        if not any(s[:4].hex() == digits and signed(text + "\n", s[4:], public[1:]) for s in found):
            fail("the checkpoint is not signed with that key")
    return origin, int(size), base64.b64decode(encoded)


def main() -> None:
    parser = argparse.ArgumentParser(description="Check an exported bundle of a progress ledger.")
    parser.add_argument("events", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint you kept")
    parser.add_argument("--key", help="the log's published key")
    asked = parser.parse_args()
    manifest = json.loads(Path(f"{asked.events}.manifest.json").read_text())
    head = checkpoint(manifest["checkpoint"], asked.key)
    kept = checkpoint(asked.checkpoint.read_text(), asked.key) if asked.checkpoint else head
    hashes = [base64.b64decode(each) for each in reversed(manifest["hashes"])]
    stack: list[tuple[int, bytes]] = []
    runs: dict[str, tuple[int, int, bytes]] = {}  # first version, last version, last type
    at, at_kept = 0, None
    with gzip.open(asked.events) if asked.events.suffix == ".gz" else asked.events.open("rb") as lines:
        for first, count in [*manifest["leaves"], (head[1], 0)]:
            while at < first and hashes:  # the events that are not shown: whole subtrees, as wide as they fit
                width = 1 << (first - at).bit_length() - 1
                width = min(width, at & -at) if at else width
                push(stack, hashes.pop(), width)
                at += width
                at_kept = root(stack) if at == kept[1] else at_kept
            for _ in range(count):
                line = lines.readline().removesuffix(b"\n")
                event, at = EVENT.fullmatch(line), at + 1
                if event is None or int(event[1]) != at:
                    fail(f"this is not the event at position {at}: {line[:100]!r}")
                push(stack, hashlib.sha256(b"\x00{" + event[2]).digest(), 1)
                at_kept = root(stack) if at == kept[1] else at_kept
                run, version = event[3].decode(), int(event[4])
                start, before, ended = runs.get(run, (version, version - 1, b""))
                if ended in TERMINAL or version != before + 1:
                    fail(f"position {at}: run {run} goes from version {before} {ended!r} to {version}")
                runs[run] = start, version, event[5]
        if lines.readline() or hashes or at != head[1] or root(stack) != head[2]:
            fail("events and proof do not give the checkpoint's root: something was changed, cut or added")
    if kept[0] != head[0] or kept[1] > head[1]:
        fail(f"the kept checkpoint is of {kept[0]} at size {kept[1]}, the bundle of {head[0]} at {head[1]}")
    if at_kept != kept[2]:
        fail(f"nothing shows that this log extends the kept checkpoint of size {kept[1]}")
    for run, (start, version, ended) in runs.items():
        whole = "whole, first event to end" if start == 1 and ended in TERMINAL else "not the whole run"
        print(f"{run}: versions {start} to {version}, {ended.decode()}; {whole}")
    against = f"signature {'checked' if asked.key else 'NOT checked'}"
    against += f", kept checkpoint {'agrees' if asked.checkpoint else 'NOT given'}"
    print(f"VERIFIED: {len(runs)} runs of {head[0]} at size {head[1]}; {against}")


if __name__ == "__main__":
    sys.excepthook = lambda kind, error, _: sys.stderr.write(f"NOT VERIFIED: {kind.__name__}: {error}\n")
    main()
