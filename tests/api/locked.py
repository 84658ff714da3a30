"""An API that asks for tokens, over real files."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from progress_ledger.api.access.rights import Role
from progress_ledger.api.app import create_app
from progress_ledger.api.tokens import TokenFile, tokens_path
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import Clock


class Locked:
    """The application, its tokens, and clients that hold them."""

    def __init__(self, http: httpx.AsyncClient, tokens: TokenFile, clock: Clock) -> None:
        self.http = http
        self.tokens = tokens
        self.clock = clock

    def holder(self, role: Role, *, kinds: str | None = None, expires: float | None = None) -> dict[str, str]:
        """The headers of somebody with a fresh token."""
        _, text = self.tokens.make(role, kinds=kinds, expires=expires)
        return {"Authorization": f"Bearer {text}"}

    async def begin(self, headers: dict[str, str], run_id: str, kind: str, **spec: Any) -> httpx.Response:
        """Begin a run as the holder of ``headers``."""
        return await self.http.post(
            "/v1/runs", json={"run_id": run_id, "kind": kind, **spec}, headers=headers
        )


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncIterator[Locked]:
    """The API over the ledger at ``path``, with the tokens beside it."""
    clock = Clock()
    tokens = TokenFile(tokens_path(path), clock)
    async with (
        Ledger.open(path, durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        transport = httpx.ASGITransport(create_app(ledger, projector, tokens=tokens))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Locked(http, tokens, clock)
