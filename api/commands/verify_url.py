"""Follow a log over HTTP as any monitor would: its checkpoint, its tiles, its entries."""

import base64
import itertools

import msgspec

from progress_ledger.ledger.audit.bundle import parse_line
from progress_ledger.ledger.audit.merkle import HASH_SIZE, TILE_WIDTH, Edge, leaf_hash, leaf_hashes
from progress_ledger.ledger.audit.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note
from progress_ledger.ledger.audit.tiles import parse_entries, tile_path
from progress_ledger.ledger.audit.verdict import BundleReport
from progress_ledger.ledger.audit.verify import MAX_FINDINGS, Finding, Row, RuleCheck

from ..console.client import Refused, Transport, get

__all__ = ("verify_url",)


class _Head(msgspec.Struct):
    origin: str
    epoch: str
    size: int
    root: str


async def verify_url(
    transport: Transport, *, notes: list[str], key: VerifierKey | None = None
) -> BundleReport:
    """Recompute the served log from its entries and hold it against its head, key and kept checkpoints.

    Entries that were pruned are taken by their hash. Constant memory but for a number per run.
    Raises Refused or ConnectionLost.
    """
    shown = msgspec.json.decode(await get(transport, "/v1/log"), type=_Head)
    findings: list[Finding] = []
    head = Checkpoint(shown.origin, shown.size, base64.b64decode(shown.root))
    signed = False
    if key is not None:
        try:
            note = parse_note((await get(transport, "/v1/log/checkpoint")).decode())
            signed = key.signed(note)
            head = parse_checkpoint(note.text)
        except Refused as error:
            findings.append(Finding(kind=error.code, message=str(error)))
        if not signed:
            findings.append(
                Finding(kind="bad_signature", message="The served checkpoint is not signed with the key.")
            )
    held = [parse_checkpoint(note) for note in notes]
    stops = {one.size for one in held} | {head.size}
    edge, rules, roots = Edge(), RuleCheck(), dict[int, bytes]()
    numbers: dict[str, tuple[int, int]] = {}
    fresh = itertools.count(1)
    while edge.size < head.size:
        number = edge.size // TILE_WIDTH
        width = min(TILE_WIDTH, head.size - edge.size)
        leaves, hashes = await _leaves(transport, number, width)
        rows: list[Row] = []
        for index, leaf in enumerate(leaves):
            if not leaf:
                continue
            position = edge.size + index + 1
            event = parse_line(b'{"position":%d,' % position + leaf[1:])
            if event is None:
                findings.append(
                    Finding(kind="not_an_event", message="The entry is no event.", position=position)
                )
                continue
            known = numbers.get(event.run_id)
            if known is None and event.version != 1:
                continue
            run, last = known or (next(fresh), 0)
            numbers[event.run_id] = run, position
            rows.append((position, run, last, leaf))
        rules.feed(rows)
        for stop in sorted(stop for stop in stops if edge.size < stop < edge.size + width):
            part = edge.copy()
            part.append(hashes[: (stop - edge.size) * 32])
            roots[stop] = part.root()
        edge.append(hashes)
        roots[edge.size] = edge.root() if edge.size in stops else b""
    findings += rules.findings
    if edge.root() != head.root:
        findings.append(
            Finding(kind="wrong_root", message=f"The entries do not give the root of size {head.size}.")
        )
    for one in held:
        if one.size > head.size:
            message = f"You hold a checkpoint of {one.size} events, the server shows {head.size}."
            findings.append(Finding(kind="rolled_back", message=message))
        elif roots.get(one.size) != one.root and one.size:
            message = f"The first {one.size} events are not those of the checkpoint that you hold."
            findings.append(Finding(kind="history_rewritten", message=message))
    good = [one.size for one in held if roots.get(one.size) == one.root]
    by = "the checkpoint you hold" if good else "the key you gave" if signed else "the server's own word"
    return BundleReport(
        ok=not findings,
        epoch=shown.epoch,
        events=head.size,
        size=head.size,
        root=head.root.hex(),
        runs=next(fresh) - 1,
        signed=signed,
        trusted=max(good, default=0) or (0 if findings else head.size),
        trusted_by=by,
        findings=findings[:MAX_FINDINGS],
    )


async def _leaves(transport: Transport, number: int, width: int) -> tuple[list[bytes], bytes]:
    """The leaves and their hashes; of a pruned one no bytes, and the hash that the tile says."""
    path = tile_path(None, number, width)
    try:
        leaves = parse_entries(await get(transport, f"/v1/log/{path}"))
    except Refused as error:
        if error.code != "pruned":
            raise
        leaves = parse_entries(await get(transport, f"/v1/log/{path.replace('tile/entries', 'remaining')}"))
        tile = await get(transport, f"/v1/log/{tile_path(0, number, width)}")
        return leaves, b"".join(
            leaf_hash(leaf) if leaf else tile[at * HASH_SIZE : (at + 1) * HASH_SIZE]
            for at, leaf in enumerate(leaves)
        )
    return leaves, leaf_hashes(leaves)
