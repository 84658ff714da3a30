"""What other pages embed: the elements in a real browser, on a page that is not ours."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from .conftest import OpenPage
from .site import Site

pytestmark = pytest.mark.needs("chromium")


def host(open_page: OpenPage, site: Site, body: str, **options: Any) -> Page:
    """A page with ``body`` on the site's own origin, under a policy without inline code."""
    page = open_page("about:blank", **options)

    def answer(route: Route) -> None:
        script = '<script type="module" src="/embed.js"></script>'
        markup = f'<!doctype html><html lang="en"><title>A shop</title>{script}{body}'
        policy = {"Content-Security-Policy": "default-src 'self'; require-trusted-types-for 'script'"}
        route.fulfill(body=markup, content_type="text/html", headers=policy)

    page.route("**/shop", answer)
    page.goto(f"{site.url}/shop")
    return page


def test_an_element_follows_its_run_to_the_end(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=4, title="QA of season 4", unit="sheets")
    page = host(open_page, site, '<progress-run src="/v1/runs/qa-1"></progress-run>')
    element = page.locator("progress-run")
    expect(element).to_contain_text("QA of season 4")
    site.add("qa-1", "ticked", done=3, counts={"passed": 2, "failed": 1})
    bar = page.get_by_role("progressbar", name="QA of season 4")
    expect(bar).to_have_attribute("aria-valuenow", "75")
    expect(element).to_contain_text("75 %")
    site.add("qa-1", "completed")
    expect(element).to_contain_text("Completed in")
    expect(bar).to_have_attribute("aria-valuenow", "100")


def test_a_panel_finds_the_current_run_folds_and_stays_until_dismissed(
    site: Site, open_page: OpenPage
) -> None:
    site.run("qa-1", kind="bulk_qa", total=10)
    body = (
        '<progress-run variant="panel" heading="Bulk QA" src="/v1/runs/current?kind=bulk_qa"></progress-run>'
    )
    page = host(open_page, site, body)
    site.add("qa-1", "ticked", done=5, counts={"passed": 4, "qa_failed": 1})
    panel = page.locator("progress-run")
    expect(panel).to_contain_text("5 / 10")
    expect(panel.get_by_text("qa failed")).to_be_hidden()
    panel.get_by_role("button", name="Details").click()
    expect(panel.get_by_text("qa failed")).to_be_visible()
    expect(panel.get_by_role("button", name="Dismiss")).to_be_hidden()
    site.add("qa-1", "interrupted", reason="service restarted")
    expect(panel).to_contain_text("Start it again")
    panel.get_by_role("button", name="Dismiss").click()
    expect(panel.get_by_text("Bulk QA").first).to_be_hidden()


def test_a_banner_shows_while_it_runs_and_goes_when_it_is_done(site: Site, open_page: OpenPage) -> None:
    site.run("m-1", total=71_000, unit="rows", title="Migration X")
    site.add("m-1", "ticked", done=12_000)
    page = host(open_page, site, '<progress-banner src="/v1/runs/m-1"></progress-banner>')
    banner = page.get_by_role("status")
    expect(banner).to_contain_text("Migration X: 12,000 / 71,000 rows")
    site.add("m-1", "completed")
    expect(banner).to_be_hidden()


def test_a_failed_run_stays_in_the_banner_with_its_error_for_ten_minutes_or_until_dismissed(
    site: Site, open_page: OpenPage
) -> None:
    site.run("m-1", total=10, title="Migration X")
    site.add("m-1", "failed", error="disk full")
    page = host(open_page, site, '<progress-banner src="/v1/runs/m-1"></progress-banner>')
    banner = page.get_by_role("status")
    expect(banner).to_have_text("Migration X failed: disk full✕")
    page.get_by_role("button", name="Dismiss").click()
    expect(banner).to_be_hidden()
    page.clock.install()
    page.reload()
    expect(banner).to_be_visible()
    page.clock.fast_forward("10:05")
    expect(banner).to_be_hidden()


def test_a_banner_of_the_gates_is_kept_while_the_health_of_the_service_cannot_be_read(
    site: Site, open_page: OpenPage
) -> None:
    site.run("m-1", total=10, title="Migration X", labels={"gate": "yes"})
    site.add("m-1", "ticked", done=5)
    page = host(open_page, site, '<progress-banner src="/healthz"></progress-banner>')
    page.clock.install()
    page.reload()
    banner = page.get_by_role("status")
    expect(banner).to_contain_text("Migration X: 50 %")
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route("**/healthz", refuse)
    page.clock.fast_forward("02:00")
    expect(banner).to_contain_text("Migration X: 50 %")
    page.unroute("**/healthz")
    site.add("m-1", "completed")
    for _ in range(3):
        page.clock.fast_forward("02:00")
    expect(banner).to_be_hidden()
    assert asked


def test_a_server_that_goes_away_fails_the_display_and_never_the_run(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=4)
    page = host(open_page, site, '<progress-run src="/v1/runs/qa-1"></progress-run>')
    expect(page.locator("progress-run")).to_contain_text("0 %")
    site.kill()
    expect(page.locator("progress-run")).to_contain_text("progress refresh failed, trying again")
    expect(page.locator("progress-run .box")).to_have_attribute("data-status", "running")
    site.start()
    site.add("qa-1", "ticked", done=2)
    expect(page.locator("progress-run")).to_contain_text("50 %")
    expect(page.locator("progress-run")).not_to_contain_text("refresh failed")


def test_what_a_producer_wrote_is_text_here_too(site: Site, open_page: OpenPage) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    site.run("qa-1", total=4, title=hostile, unit=hostile[:30])
    site.add("qa-1", "ticked", done=1, counts={hostile: 1}, message=hostile)
    elements = (f'<{name} src="/v1/runs/qa-1"></{name}>' for name in ("progress-run", "progress-banner"))
    page = host(open_page, site, "".join(elements))
    expect(page.locator("progress-run")).to_contain_text(hostile)
    expect(page.locator("progress-banner")).to_contain_text(hostile)
    assert page.locator("img").count() == 0
