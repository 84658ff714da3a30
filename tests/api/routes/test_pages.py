"""The dashboard's files: complete, revalidated, under a policy that lets nothing else run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from progress_ledger.api.routes import pages

pytestmark = pytest.mark.anyio

MODULES = re.compile(
    r"""^(?:import|export)\b[^"';]*?from\s+["']([^"']+)["']|^import\s+["']([^"']+)["']""", re.MULTILINE
)


@pytest.fixture(params=["", "/below/a/prefix"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Mount(request.param, routes=pages.routes())])
    transport = httpx.ASGITransport(app)
    base = f"http://test{request.param}"
    async with httpx.AsyncClient(transport=transport, base_url=base, follow_redirects=True) as client:
        yield client


async def test_the_page_and_all_it_refers_to_are_there_below_any_prefix(client: httpx.AsyncClient) -> None:
    waiting = [client.base_url.join("")]
    seen: set[httpx.URL] = set()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = await client.get(url)
        assert answer.status_code == 200, url
        kind = answer.headers["content-type"]
        if kind.startswith("text/html"):
            found = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
        elif kind.startswith("text/javascript"):
            found = [one or other for one, other in MODULES.findall(answer.text)]
        else:
            found = []
        waiting += [answer.url.join(each) for each in found]
    names = {str(url).rpartition("/")[2] for url in seen}
    assert {"app.js", "client.js", "style.css", "run.css", "favicon.svg", "list.js", "run.js"} <= names


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
        ("/embed.js", "text/javascript; charset=utf-8"),
        ("/client.d.ts", "text/plain; charset=utf-8"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/favicon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
async def test_each_file_has_its_type_a_tag_and_the_policy(
    client: httpx.AsyncClient, path: str, kind: str
) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "no-cache"
    for name, value in pages.SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    again = await client.get(path, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await client.head(path)).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpages.py", "%2e%2e/pages.py", ".", "__init__.py"])
async def test_nothing_but_the_files_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status_code == 404


async def test_the_policy_allows_no_inline_code_and_the_page_holds_none(client: httpx.AsyncClient) -> None:
    assert "unsafe" not in pages.CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in pages.CONTENT_SECURITY_POLICY
    page = (await client.get("/")).text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)


async def test_no_file_names_another_server(client: httpx.AsyncClient) -> None:
    # The namespace of SVG is a name, and example addresses stand in comments.
    allowed = re.compile(r"http://www\.w3\.org/|https://ledger\.example/|http://127\.0\.0\.1")
    for name in pages._files():
        text = (await client.get(f"/static/{name}")).text
        assert [at for at in re.findall(r"https?://[\w.]+/?", text) if not allowed.match(at)] == [], name


async def test_no_module_parses_markup_or_text_as_code(client: httpx.AsyncClient) -> None:
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
    for name in pages._files():
        if name.endswith(".js"):
            assert not sinks.search((await client.get(f"/static/{name}")).text), name
