"""A browser for each module, and servers of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .gallery import fill
from .site import Site

# Debian's browser, not one of Playwright's own: nothing is downloaded. It must not call home either.
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
PATIENCE_MS = 15_000
# The browser says so itself when a request fails because the server is away: that is what some tests do.
NETWORK = re.compile(r"Failed to load resource|net::ERR_|the server responded with a status of 4")

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session: Playwright's loop counts as running in this thread as long as it lives, and
    # no other test could run one.
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty ledger, served."""
    site = Site(tmp_path / "ledger.db").start()
    yield site
    site.close()


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Runs in every state, served; for tests that change nothing."""
    path = tmp_path_factory.mktemp("gallery") / "ledger.db"
    # Playwright's loop lives in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: anyio.run(fill, path)).result()
    site = Site(path).start()
    yield site
    site.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """``open_page(url, **context options)``: a page whose console must stay free of errors."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def note(text: str) -> None:
        if not NETWORK.search(text):
            said.append(text)

    def open_one(url: str, *, beside: Page | None = None, **options: Any) -> Page:
        context = beside.context if beside is not None else browser.new_context(**options)
        if beside is None:
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert said == []
