"""The page where tokens rule: signing in and out, and what a reader is not offered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import OpenPage
from .site import Site

pytestmark = pytest.mark.needs("chromium")


def new_token(site: Site, role: str) -> str:
    program = Path(sys.executable).with_name("progress-ledger")
    command = [str(program), "token", "new", "--role", role, "--db", str(site.db)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def test_a_token_signs_in_with_a_cookie_and_the_page_goes_on_from_there(
    site: Site, open_page: OpenPage
) -> None:
    site.run("qa-1", total=10)
    operator = new_token(site, "operator")
    page = open_page(f"{site.url}/?run=qa-1")
    page.get_by_label("Token").fill("not one of them")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Token").fill(operator)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".headline b")).to_have_text("0 %")
    expect(page.locator("#link")).to_have_attribute("data-phase", "live")
    assert operator not in page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, location.href])"
    )
    expect(page.get_by_role("button", name="Cancel…")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_reader_is_not_offered_what_takes_another_role(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=10)
    reader = new_token(site, "reader")
    page = open_page(f"{site.url}/?run=qa-1")
    page.get_by_label("Token").fill(reader)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".headline b")).to_have_text("0 %")
    expect(page.get_by_role("button", name="Cancel…")).to_be_hidden()
