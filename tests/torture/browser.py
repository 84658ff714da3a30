"""A browser's own ``EventSource``, in pages of one Chromium."""

from __future__ import annotations

import asyncio
import random
import shutil

from playwright.async_api import Browser, Page, Playwright, async_playwright

from .model import Broken
from .reader import Reader
from .wires import Failed, Port

__all__ = ("BrowserWire", "Chromium")

_NAMES = (
    "hello snapshot live drain busy started ticked noted heartbeat stage_changed rewound paused resumed "
    "completed failed cancelled interrupted"
)

# It reconnects by itself. A new source is made, as pages do, when the browser gives up or when the port it
# knows is gone for good; its address then says where the page was, since a source cannot set a header.
_SCRIPT = """
([url, names]) => {
  const source = new EventSource(url);
  let open = false, watch = null, told = [], busy = false;
  // Many frames in one message, as each costs a millisecond on its way out of the browser. Without a timer:
  // those of a page that nobody looks at run once a minute.
  const say = async (...frame) => {
    told.push(frame);
    if (busy) return;
    busy = true;
    while (told.length) {
      const some = told;
      told = [];
      await report(some);
    }
    busy = false;
  };
  const end = (what) => { clearTimeout(watch); source.close(); say(what, "", ""); };
  const wait = (time) => { watch = watch || setTimeout(() => end("gone"), time); };
  source.onopen = () => { clearTimeout(watch); watch = null; open = true; say("open", "", ""); };
  source.onerror = () => {
    if (source.readyState === 2) { end("closed"); return; }
    if (open) say("lost", "", "");
    open = false;
    wait(4000);
  };
  wait(25000);
  for (const name of names.split(" "))
    source.addEventListener(name, (frame) => say(frame.type, frame.data, frame.lastEventId));
}
"""
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--intensive-wake-up-throttling-policy=0",
)


class Chromium:
    """One browser, without a window. ``new_page`` gives pages that may ask any server of this machine."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    @staticmethod
    def there() -> bool:
        """Whether it is installed."""
        return shutil.which("chromium") is not None

    async def start(self) -> None:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            # The second server is another origin, and a page has but one.
            executable_path=shutil.which("chromium"),
            args=[*_ARGUMENTS, "--disable-web-security"],
        )

    async def new_page(self) -> Page:
        assert self._browser is not None
        return await self._browser.new_page()

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


class BrowserWire:
    """One page with one ``EventSource``."""

    def __init__(
        self, reader: Reader, port: Port, dice: random.Random, failed: Failed, chromium: Chromium
    ) -> None:
        self.reader = reader
        self._port = port
        self._failed = failed
        self._chromium = chromium
        self._last = ""
        self._again = asyncio.Event()

    async def run(self) -> None:
        page = await self._chromium.new_page()
        try:
            await page.expose_function("report", self._report)
            while not self.reader.finished:
                self._again.clear()
                self._last = self.reader.cursor or ""
                url = f"http://127.0.0.1:{self._port()}{self.reader.path}"
                if self._last:
                    url += f"{'&' if '?' in url else '?'}lastEventId={self._last}"
                await page.evaluate(_SCRIPT, [url, _NAMES])
                await self._again.wait()
                await asyncio.sleep(0.3)
        finally:
            await page.close()

    def _report(self, told: list[tuple[str, str, str]]) -> None:
        try:
            for name, text, last in told:
                self._told(name, text, last)
        except Broken as error:
            self._failed(error)
            self.reader.finished = True
            self._again.set()

    def _told(self, name: str, text: str, last: str) -> None:
        if name == "open":
            self.reader.connected()
        elif name == "lost":
            self.reader.tally["cuts"] += 1
        elif name == "gone":
            self.reader.tally["new sources"] += 1
            self._again.set()
        elif name == "closed":
            # A page is not told why. After the end of its run that is the 204 which says so.
            self.reader.tally["closed for good"] += 1
            self.reader.finished = self.reader.run_id is not None and (
                self.reader.run_id in self.reader.finals or self.reader._model.cut_away > 0
            )
            self._again.set()
        else:
            # The browser repeats the last id on frames that carry none.
            self.reader.frame(name, text, last if last != self._last else None)
            self._last = last
