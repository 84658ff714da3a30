"""The description names every address the application has, and only those."""

from __future__ import annotations

import re

import pytest
from starlette.routing import Route

from progress_ledger.api.app import create_app
from progress_ledger.api.routes.openapi import OPERATIONS, document
from tests.api.asking import Api

pytestmark = pytest.mark.anyio

FOR_PEOPLE = {"/", "/client.js", "/client.d.ts", "/embed.js", "/favicon.ico", "/static/{name}"}
OF_ITSELF = {"/openapi.json", "/login", "/logout"}


async def test_every_route_is_described_and_every_description_has_a_route(asked: Api) -> None:
    app = create_app(asked.ledger, asked.projector)
    routed: set[tuple[str, str]] = set()
    for route in app.routes:
        assert isinstance(route, Route)
        path = re.sub(r":path}", "}", route.path)
        if path not in FOR_PEOPLE | OF_ITSELF:
            routed |= {(method, path) for method in (route.methods or {"GET"}) - {"HEAD"}}
    assert routed == set(OPERATIONS)


async def test_the_description_is_served_and_every_reference_in_it_resolves(asked: Api) -> None:
    served = (await asked.http.get("/openapi.json")).json()
    assert served["openapi"].startswith("3.1")
    text = str(served)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in served["components"]["schemas"]


def test_operation_ids_are_unique() -> None:
    ids = [one["operationId"] for path in document()["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
