"""The transparency log over HTTP, in the published form: C2SP ``tlog-tiles`` under ``/v1/log``.

``/v1/log/checkpoint``, ``/v1/log/tile/<L>/<N>[.p/<W>]`` and ``/v1/log/tile/entries/<N>[.p/<W>]`` are what any
monitor of such logs reads. A bundle of entries of which some were pruned cannot be served in that form, where
each entry hashes to its leaf: it is gone (410), and ``/v1/log/remaining/<N>[.p/<W>]`` has the rest of it.

Beside them the same facts as JSON: the head, inclusion and consistency proofs, and a run's manifest, which
together with its events is a bundle that is verified offline.
"""

import base64
import io
import time
from functools import partial

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.audit.export import export_proven
from progress_ledger.ledger.audit.tiles import entry_bundle, parse_tile_path, tile_path
from progress_ledger.ledger.audit.tree import NoSuchSize, Tree
from progress_ledger.ledger.errors import RunNotFound
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection

from ..access.rights import access_of
from ..filters import number_of
from ..problems import Refusal
from ..replies import json_reply
from ..service import Service

__all__ = ("routes",)

_LARGEST = 2**63 - 1
# What a path holds never changes once it is there; but a pruned entry is not to live on in caches for a year.
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_FOR_A_DAY = {"Cache-Control": "public, max-age=86400, immutable"}


def routes(service: Service) -> list[BaseRoute]:
    """Everything below ``/v1/log``; nothing for an engine that keeps no tree."""
    log = service.ledger.log
    if not isinstance(log, SQLiteLog):
        return []
    tree = Tree(log)
    return [_for_all(route) for route in _routes(tree, log)]


def _for_all(route: Route) -> Route:
    # The log holds every kind: a caller who is held to some of them may not read it.
    serve = route.endpoint

    async def checked(request: Request) -> Response:
        access_of(request.scope).require_all()
        response: Response = await serve(request)
        return response

    return Route(route.path, checked, methods=["GET"], name=route.name)


def _routes(tree: Tree, log: SQLiteLog) -> list[Route]:
    return [
        Route("/v1/log", partial(_head, tree, log), methods=["GET"], name="log_head"),
        Route("/v1/log/checkpoint", partial(_checkpoint, tree), methods=["GET"], name="log_checkpoint"),
        Route("/v1/log/tile/{path:path}", partial(_tile, tree), methods=["GET"], name="log_tile"),
        Route(
            "/v1/log/remaining/{path:path}", partial(_remaining, tree), methods=["GET"], name="log_remaining"
        ),
        Route(
            "/v1/log/proof/inclusion", partial(_inclusion, tree, log), methods=["GET"], name="log_inclusion"
        ),
        Route(
            "/v1/log/proof/consistency", partial(_consistency, tree), methods=["GET"], name="log_consistency"
        ),
        Route("/v1/log/runs/{run_id}", partial(_manifest, tree, log), methods=["GET"], name="log_run"),
    ]


async def _head(tree: Tree, log: SQLiteLog, request: Request) -> Response:
    head = await tree.head()
    newest = await tree.newest_checkpoint(signed=True)
    return json_reply(
        {
            "origin": tree.origin if newest is None else newest.note.partition("\n")[0],
            "epoch": log.epoch,
            "size": head.size,
            "root": _base64(head.root),
            "checkpoint": None if newest is None else {"size": newest.size, "time": newest.time},
        }
    )


async def _checkpoint(tree: Tree, request: Request) -> Response:
    newest = await tree.newest_checkpoint(signed=True)
    if newest is None:
        raise Refusal(
            404, "no_checkpoint", "Nobody has signed this log yet; run: progress-ledger checkpoint --key FILE"
        )
    return PlainTextResponse(await tree.note(newest), headers={"Cache-Control": "no-cache"})


async def _tile(tree: Tree, request: Request) -> Response:
    place = parse_tile_path(request.path_params["path"])
    if place is None:
        raise Refusal(404, "not_found", "This is no tile's path; write tile/<level>/<number>[.p/<width>].")
    if place.level is not None:
        data = await tree.tile(place.level, place.number, place.width)
        if data is None:
            raise _no_such_tile()
        return Response(data, headers=_FOREVER, media_type="application/octet-stream")
    leaves = await tree.leaves(place.number, place.width)
    if leaves is None:
        raise _no_such_tile()
    present = [leaf for leaf in leaves if leaf is not None]
    if len(present) < len(leaves):
        raise Refusal(
            410,
            "pruned",
            f"{len(leaves) - len(present)} of these {len(leaves)} entries were pruned; "
            f"the others are at /v1/log/{tile_path(*place).replace('tile/entries', 'remaining')}",
        )
    return Response(entry_bundle(present), headers=_FOR_A_DAY, media_type="application/octet-stream")


async def _remaining(tree: Tree, request: Request) -> Response:
    place = parse_tile_path("entries/" + request.path_params["path"])
    if place is None:
        raise Refusal(404, "not_found", "This is no bundle's path; write remaining/<number>[.p/<width>].")
    leaves = await tree.leaves(place.number, place.width)
    if leaves is None:
        raise _no_such_tile()
    # No leaf is empty: a length of 0 stands for one that was pruned.
    data = entry_bundle(leaf or b"" for leaf in leaves)
    return Response(data, headers={"Cache-Control": "no-cache"}, media_type="application/octet-stream")


def _no_such_tile() -> Refusal:
    return Refusal(404, "not_found", "The log has not so many events.")


async def _inclusion(tree: Tree, log: SQLiteLog, request: Request) -> Response:
    query = request.query_params
    size = _optional(query, "size")
    if "run" in query:
        run = await log.run(query["run"])
        version = number_of(query, "version", default=run.version if run else 1, lowest=1, highest=_LARGEST)
        if run is None or version > run.version:
            raise RunNotFound(query["run"])
        (stored,) = await log.read_run(run.run_id, after=version - 1, limit=1)
        position = stored.position
    elif "position" in query:
        position = number_of(query, "position", default=1, lowest=1, highest=_LARGEST)
    else:
        raise Refusal(400, "malformed", "Say which event: position, or run with version.", field="position")
    try:
        found = await tree.inclusion(position, size=size)
    except NoSuchSize as error:
        raise Refusal(404, error.code, str(error)) from None
    return json_reply(
        {
            "position": position,
            "index": found.index,
            "size": found.size,
            "root": _base64(found.root),
            "leaf_hash": _base64(found.leaf),
            "proof": [_base64(step) for step in found.proof],
        }
    )


async def _consistency(tree: Tree, request: Request) -> Response:
    old = number_of(request.query_params, "old", default=0, lowest=0, highest=_LARGEST)
    new = _optional(request.query_params, "new")
    if new is None:
        new = (await tree.head()).size
    try:
        proof = await tree.consistency(old, new)
        roots = await tree.head(size=old), await tree.head(size=new)
    except NoSuchSize as error:
        raise Refusal(404, error.code, str(error)) from None
    return json_reply(
        {
            "old": old,
            "new": new,
            "old_root": _base64(roots[0].root),
            "new_root": _base64(roots[1].root),
            "proof": [_base64(step) for step in proof],
        }
    )


async def _manifest(tree: Tree, log: SQLiteLog, request: Request) -> Response:
    selection = Selection(run=request.path_params["run_id"])
    manifest = await export_proven(log, selection, _Nowhere(), now=time.time(), tree=tree)
    # A run of very many events that others come between has a manifest longer than memory should be wide.
    return StreamingResponse(
        manifest.chunks(), headers={"Cache-Control": "no-cache"}, media_type="application/json"
    )


class _Nowhere(io.BytesIO):
    """Takes the events, which the client has from the run's own address, and forgets them."""

    def write(self, data: object, /) -> int:
        return 0


def _optional(query: QueryParams, name: str) -> int | None:
    if name not in query:
        return None
    return number_of(query, name, default=0, lowest=0, highest=_LARGEST)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
