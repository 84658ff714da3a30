"""The page in a real browser over a real server: what is seen, through breaks, by keyboard, by axe."""

from __future__ import annotations

import json
import re
import threading
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .conftest import OpenPage
from .gallery import HOSTILE
from .site import Site

pytestmark = pytest.mark.needs("chromium")

ROWS = ".rows .row"


def row(page: Page, run_id: str) -> Any:
    return page.locator(f'[data-run="{run_id}"]')


def live(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-phase", "live")


# ---- the list --------------------------------------------------------------------------------------------


def test_an_empty_ledger_says_what_to_do_and_shows_the_first_run_by_itself(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page(f"{site.url}/")
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    site.run("qa-1", total=4, title="First of all")
    expect(row(page, "qa-1")).to_contain_text("First of all")
    expect(page.locator('.chip[data-status="running"] b')).to_have_text("1")


def test_a_run_is_followed_live_from_start_to_end(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=4, unit="sheets")
    page = open_page(f"{site.url}/?run=qa-1")
    expect(page.locator(".headline b")).to_have_text("0 %")
    for done in (1, 3, 4):
        site.add("qa-1", "ticked", done=done)
        expect(page.locator(".figures")).to_contain_text(f"{done} / 4 sheets")
    expect(page.locator(".headline b")).to_have_text("99 %")
    expect(page.locator(".headline")).to_contain_text("finishing")
    site.add("qa-1", "completed")
    expect(page.locator(".headline b")).to_have_text("Completed")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    expect(page.locator("#link-text")).to_have_text("This run is over")
    expect(page.locator(".events .type").first).to_have_text("completed")
    assert "completed" in page.title()


def test_runs_are_in_order_of_urgency_and_a_stalled_one_is_not_counted_as_running(
    gallery: Site, open_page: OpenPage
) -> None:
    page = open_page(f"{gallery.url}/")
    live(page)
    expect(row(page, "import")).to_have_attribute("data-status", "stalled")
    rank = {"stalled": 0, "running": 1, "paused": 2, "queued": 3, "failed": 4}
    ranks = [rank.get(str(one.get_attribute("data-status")), 5) for one in page.locator(ROWS).all()]
    assert ranks == sorted(ranks)
    counts = gallery.ask("GET", "/v1/runs?limit=1")["counts"]
    for name, number in counts.items():
        expect(page.locator(f'.chip[data-status="{name}"] b')).to_have_text(str(number))


@pytest.mark.parametrize(
    ("run_id", "words"),
    [
        ("crawl", ["1,512 / ? pages", "—", "/s"]),
        ("reindex", ["120 documents (100 expected)", "99 %", "finishing", "done"]),
        ("export", ["99 %", "finishing: cleanup"]),
        ("sheets-21a", ["Failed", "No space left on device", "%"]),
        ("gone", ["Interrupted", "start again"]),
        ("import", ["Stalled", "no progress for", "40 %"]),
        ("paused", ["Paused", "36 %"]),
        ("cancelling", ["cancel requested"]),
        ("backup", ["GB / 64.0 GB", "MB/s"]),
        ("sheets-21", ["processing · 4 of 7", "attempt 2"]),
    ],
)
def test_each_state_reads_right_in_its_row(
    gallery: Site, open_page: OpenPage, run_id: str, words: list[str]
) -> None:
    page = open_page(f"{gallery.url}/")
    for word in words:
        expect(row(page, run_id)).to_contain_text(word)


def test_filters_are_kept_in_the_address_and_survive_a_reload(gallery: Site, open_page: OpenPage) -> None:
    page = open_page(f"{gallery.url}/")
    page.locator('.chip[data-status="failed"]').click()
    expect(page.locator(ROWS)).to_have_count(1)
    assert "status=failed" in page.url
    page.reload()
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator('.chip[data-status="failed"]')).to_have_attribute("aria-pressed", "true")
    page.get_by_role("searchbox", name="Search runs").fill("nothing like it")
    expect(page.get_by_role("heading", name="No run matches these filters")).to_be_visible()
    page.locator(".message").get_by_role("button", name="Clear filters").click()
    page.get_by_role("searchbox", name="Search runs").fill("season 4")
    expect(page.locator(ROWS)).to_have_count(1)
    page.get_by_role("searchbox", name="Search runs").fill("")
    page.get_by_label("Label").fill("team:intake")
    expect(page.locator(ROWS)).to_have_count(1)
    page.goto(f"{gallery.url}/?kind=sheet")
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.get_by_label("Kind")).to_have_value("sheet")


def test_rows_are_patched_in_place_and_do_not_move_under_the_pointer(site: Site, open_page: OpenPage) -> None:
    for name in ("a", "b", "c"):
        site.run(name, total=10)
    page = open_page(f"{site.url}/")
    live(page)
    expect(page.locator(ROWS)).to_have_count(3)
    handle = row(page, "a").element_handle()
    page.locator(ROWS).first.hover()
    before = [one.get_attribute("data-run") for one in page.locator(ROWS).all()]
    site.add("b", "failed", error="broken")
    site.add("a", "ticked", done=5)
    expect(row(page, "b")).to_contain_text("broken")
    expect(row(page, "a")).to_contain_text("5 / 10")
    assert [one.get_attribute("data-run") for one in page.locator(ROWS).all()] == before
    assert page.evaluate("node => node.isConnected", handle)
    page.mouse.move(5, 5)
    expect(page.locator(ROWS).last).to_have_attribute("data-run", "b")


# ---- breaks ----------------------------------------------------------------------------------------------


def test_the_server_is_killed_and_restarted_under_the_page_which_recovers_without_a_gap(
    site: Site, open_page: OpenPage
) -> None:
    site.run("qa-1", total=100)
    page = open_page(f"{site.url}/?run=qa-1")
    live(page)
    for done in range(1, 6):
        site.add("qa-1", "ticked", done=done)
    expect(page.locator(".figures")).to_contain_text("5 / 100")
    site.kill()
    expect(page.locator("#link")).to_have_attribute("data-phase", "waiting")
    expect(page.locator("#link-text")).to_contain_text(re.compile(r"again in \d+s"))
    expect(page.get_by_role("button", name="Retry now")).to_be_visible()
    expect(page.locator(".headline b")).to_have_text("5 %")
    site.start()
    for done in range(6, 31):
        site.add("qa-1", "ticked", done=done)
    live(page)
    expect(page.locator(".figures")).to_contain_text("30 / 100")
    expect(page.locator(".event")).to_have_count(31)
    versions = [one.text_content() for one in page.locator(".event .version").all()]
    assert versions == [f"v{version}" for version in range(31, 0, -1)]


def test_a_run_that_ended_while_the_server_was_away_is_shown_as_ended(
    site: Site, open_page: OpenPage
) -> None:
    site.run("qa-1", total=100)
    site.run("qa-2", total=100)
    page = open_page(f"{site.url}/")
    live(page)
    expect(row(page, "qa-1")).to_have_attribute("data-status", "running")
    page.context.set_offline(True)
    site.terminate()
    site.start()
    site.add("qa-1", "completed")
    page.context.set_offline(False)
    live(page)
    expect(row(page, "qa-1")).to_have_attribute("data-status", "completed")
    expect(row(page, "qa-2")).to_have_attribute("data-status", "running")


def test_a_list_that_cannot_be_read_says_so_and_comes_back(site: Site, open_page: OpenPage) -> None:
    page = open_page(f"{site.url}/")
    live(page)
    page.route("**/v1/runs?*", lambda route: route.fulfill(status=503, json={"detail": "not now"}))
    page.goto(f"{site.url}/?kind=job")
    expect(page.get_by_role("heading", name="The runs could not be read")).to_be_visible()
    expect(page.locator(".message")).to_contain_text("says nothing about the runs")
    page.unroute("**/v1/runs?*")
    # Not through the locator: the page tries again by itself, too, and the button may be gone by then.
    page.evaluate(
        "[...document.querySelectorAll('button')].find(one => one.textContent == 'Try again now')?.click()"
    )
    expect(page.get_by_role("heading", name="No run matches these filters")).to_be_visible()


def test_all_tabs_share_one_stream_and_outlive_the_tab_that_held_it(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=100)
    streams: list[str] = []
    first = open_page("about:blank")
    first.context.on("request", lambda one: streams.append(one.url) if "/v1/stream" in one.url else None)
    first.goto(f"{site.url}/")
    live(first)
    tabs = [open_page(f"{site.url}/", beside=first) for _ in range(7)]
    for tab in tabs:
        live(tab)
        expect(row(tab, "qa-1")).to_contain_text("0 / 100")
    assert len(streams) == 1
    site.add("qa-1", "ticked", done=7)
    for tab in tabs:
        expect(row(tab, "qa-1")).to_contain_text("7 / 100")
    first.close()
    site.add("qa-1", "ticked", done=8)
    for tab in tabs:
        expect(row(tab, "qa-1")).to_contain_text("8 / 100")
    assert len(streams) == 2


# ---- the page of a run -----------------------------------------------------------------------------------


def test_the_slider_shows_the_page_as_it_was_at_any_version(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=10)
    for done in range(1, 9):
        site.add("qa-1", "ticked", done=done)
    site.add("qa-1", "failed", error="it broke")
    page = open_page(f"{site.url}/?run=qa-1")
    expect(page.locator(".headline b")).to_have_text("Failed")
    slider = page.get_by_role("slider", name="As of")
    slider.focus()
    slider.press("Home")
    expect(page.locator(".headline b")).to_have_text("0 %")
    for _ in range(5):
        slider.press("ArrowRight")
    expect(page.locator(".headline b")).to_have_text("50 %")
    expect(page.locator(".runhead .status")).to_have_text("Running")
    expect(page.locator(".event")).to_have_count(6)
    assert "at=v6" in page.url
    page.reload()
    expect(page.locator(".headline b")).to_have_text("50 %")
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator(".headline b")).to_have_text("Failed")
    assert "at=" not in page.url


def test_an_event_has_an_address_and_the_log_can_be_filtered_and_taken_away(
    site: Site, open_page: OpenPage
) -> None:
    site.run("qa-1", total=400)
    events = [{"type": "ticked", "data": {"done": done}} for done in range(1, 400)]
    events.insert(20, {"type": "noted", "data": {"message": "look here", "level": "warning"}})
    site.ask("POST", "/v1/runs/qa-1/events", json={"events": events})
    page = open_page(f"{site.url}/?run=qa-1#v22")
    expect(page.locator("#v22")).to_have_attribute("data-target", "")
    expect(page.locator("#v22")).to_be_in_viewport()
    page.get_by_label("Which events").select_option("notes")
    expect(page.locator(".event")).to_have_count(1)
    expect(page.locator(".event")).to_contain_text("look here")
    page.get_by_label("Which events").select_option("all")
    page.get_by_role("searchbox", name="Filter events").fill('"done":399')
    expect(page.locator(".event")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    lines = download.value.path().read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["version"] for line in lines] == list(range(1, 402))


def test_cancel_is_requested_then_acknowledged(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=10)
    page = open_page(f"{site.url}/?run=qa-1")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Reason (optional)").fill("the wrong season")
    page.get_by_role("button", name="Ask to stop").click()
    expect(page.locator(".asked")).to_have_text("Cancel requested · waiting for the producer to acknowledge")
    assert site.ask("GET", "/v1/runs/qa-1")["cancel_requested"] is True
    site.add("qa-1", "cancelled", reason="the wrong season")
    expect(page.locator(".headline b")).to_have_text("Cancelled")
    expect(page.locator(".actions")).to_be_hidden()


@pytest.mark.parametrize(("outcome", "field"), [("interrupted", "reason"), ("failed", "error")])
def test_a_run_is_ended_by_hand_with_a_reason(
    site: Site, open_page: OpenPage, outcome: str, field: str
) -> None:
    site.run("qa-1", total=10)
    page = open_page(f"{site.url}/?run=qa-1")
    page.get_by_role("button", name="End by hand…").click()
    page.locator(f'input[value="{outcome}"]').check()
    page.get_by_label("Reason", exact=True).fill("the machine burnt down")
    page.get_by_role("button", name="End the run").click()
    expect(page.locator(".headline b")).to_have_text(outcome.capitalize())
    last = site.ask("GET", "/v1/runs/qa-1/events?after=1")["events"][-1]
    assert (last["type"], last["data"][field]) == (outcome, "the machine burnt down")


def test_a_refusal_is_told_in_the_servers_words(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=10)
    page = open_page(f"{site.url}/?run=qa-1")
    page.get_by_role("button", name="Cancel…").click()
    refusal = {"code": "forbidden", "detail": "This needs the role operator."}
    page.route("**/cancel", lambda route: route.fulfill(status=403, json=refusal))
    page.get_by_role("button", name="Ask to stop").click()
    expect(page.get_by_role("alert")).to_have_text("This needs the role operator.")


def test_a_staged_run_shows_its_stages_their_usual_lengths_kin_and_notes(
    gallery: Site, open_page: OpenPage
) -> None:
    page = open_page(f"{gallery.url}/?run=sheets-21")
    expect(page.locator(".segment")).to_have_count(7)
    expect(page.locator(".ghosts i")).to_have_count(6)
    expect(page.locator(".ganttrow")).to_have_count(7)
    expect(page.locator('.ganttrow[data-state="active"]')).to_contain_text("usually")
    expect(page.locator(".counts")).to_contain_text("passed")
    expect(page.locator(".notes li")).to_have_count(1)
    expect(page.locator(".notes")).to_contain_text("(×2)")
    kin = page.locator(".kin")
    expect(kin).to_contain_text("Earlier attempt")
    expect(kin.get_by_role("link", name="Pack B")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Done over time"))).to_be_visible()
    kin.get_by_role("link", name="Pack B").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pack B")
    expect(page.locator(".kin")).to_contain_text("Part of")


def test_a_run_that_does_not_exist_is_named(site: Site, open_page: OpenPage) -> None:
    page = open_page(f"{site.url}/?run=nobody")
    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
    expect(page.locator(".message")).to_contain_text("nobody")


# ---- everybody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/?run=hostile", "/?run=hostile&at=v4", "/?q=hostile"])
def test_what_a_producer_wrote_is_text_and_never_markup(
    gallery: Site, open_page: OpenPage, address: str
) -> None:
    page = open_page(f"{gallery.url}{address}")
    expect(page.locator(".rows, .runpage").get_by_text(HOSTILE[:30]).first).to_be_visible()
    if "run=" in address:
        expect(page.locator(".facts")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x], main script, [onerror]").count() == 0
    assert page.locator('a[href^="javascript"]').count() == 0
    assert page.title() != "owned"


def test_everything_is_reached_with_the_keyboard_alone(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=10, title="The first")
    site.run("qa-2", total=10, title="The second")
    page = open_page(f"{site.url}/")
    expect(page.locator(ROWS)).to_have_count(2)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the runs")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search runs")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "The second":
            break
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="The first")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("The first")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "End by hand…":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="End by hand…")).to_be_focused()
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("address", ["/", "/?run=sheets-21", "/?run=sheets-21a", "/?run=import", "/?q=none"])
def test_axe_finds_nothing_wrong(
    gallery: Site, open_page: OpenPage, address: str, width: int, scheme: str
) -> None:
    page = open_page(
        f"{gallery.url}{address}",
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        bypass_csp=True,
        reduced_motion="reduce",
    )
    ready = {"/": ROWS, "/?q=none": ".message h2"}.get(address, ".event")
    expect(page.locator(ready).first).to_be_visible()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_nothing_is_wider_than_a_phone(gallery: Site, open_page: OpenPage) -> None:
    for address in ("/", "/?run=sheets-21", "/?run=hostile", "/?run=long"):
        page = open_page(f"{gallery.url}{address}", viewport={"width": 360, "height": 700})
        live(page)
        expect(page.locator(ROWS if address == "/" else ".event").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address


def test_a_live_region_speaks_at_most_every_ten_seconds(site: Site, open_page: OpenPage) -> None:
    site.run("qa-1", total=1000)
    page = open_page(f"{site.url}/?run=qa-1")
    page.evaluate(
        "() => { window.spoken = []; new MutationObserver(() => spoken.push(performance.now()))"
        ".observe(document.getElementById('said'), {childList: true, characterData: true, subtree: true}); }"
    )
    for done in range(1, 40):
        site.add("qa-1", "ticked", done=done * 20)
    expect(page.locator(".figures")).to_contain_text("780 / 1,000")
    expect(page.locator("#said")).to_contain_text("78 percent", timeout=15_000)
    spoken = page.evaluate("spoken")
    assert all(later - earlier > 9_900 for earlier, later in pairwise(spoken))


def longest_task(trace: bytes) -> float:
    """Milliseconds of processor time of the longest task on a page's main thread.

    Not of the clock on the wall: on a busy machine that counts the work of others.
    """
    events = json.loads(trace)["traceEvents"]
    named = (one for one in events if one["name"] == "thread_name")
    mains = {(one["pid"], one["tid"]) for one in named if one["args"]["name"] == "CrRendererMain"}
    tasks: list[float] = [
        one["tdur"] for one in events if (one["pid"], one["tid"]) in mains and "tdur" in one
    ]
    assert len(tasks) > 100
    return max(tasks) / 1000


def test_a_thousand_rows_that_tick_leave_the_page_responsive(
    site: Site, browser: Browser, open_page: OpenPage
) -> None:
    spec = {"kind": "job", "total": 100_000}
    started = [{"run_id": f"run-{number}", "type": "started", "data": spec} for number in range(1000)]
    site.ask("POST", "/v1/events", content="\n".join(map(json.dumps, started)))
    stop = threading.Event()

    def tick() -> None:
        first = 0
        while not stop.wait(0.05):
            first += 50
            ids = (f"run-{(first + number) % 1000}" for number in range(50))
            lines = ({"run_id": run_id, "type": "ticked", "data": {"advance": 1}} for run_id in ids)
            site.ask("POST", "/v1/events", content="\n".join(map(json.dumps, lines)))

    producer = threading.Thread(target=tick)
    producer.start()
    try:
        page = open_page("about:blank")
        browser.start_tracing(page=page, categories=["toplevel"])
        page.goto(f"{site.url}/")
        live(page)
        expect(page.locator(ROWS)).to_have_count(1000)
        first = page.locator(ROWS).first.locator('[data-slot="done"]')
        expect(first).not_to_have_text(str(first.text_content()))
        page.mouse.move(400, 500)
        for _ in range(30):
            page.mouse.wheel(0, 900)
            page.evaluate("() => new Promise(requestAnimationFrame)")
        page.get_by_role("searchbox", name="Search runs").fill("run-77")
        expect(page.locator(ROWS)).to_have_count(11)
        assert longest_task(browser.stop_tracing()) <= 200
    finally:
        stop.set()
        producer.join()
