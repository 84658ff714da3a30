"""Everything of one torture: the file, its servers, producers, readers, and the checks between the faults."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx

from .browser import BrowserWire, Chromium
from .model import Broken, Model
from .process import ANSWER_SECONDS, Server
from .producers import LocalProducer, RemoteProducer
from .proxy import Proxy
from .reader import Reader
from .wires import HttpxWire, RawWire, SseclientWire

CATCH_UP_SECONDS = 20.0
"""How long readers may take to be told everything once the service answers again, or else be told nothing."""

CRAWL_SECONDS = 60.0
"""The same for those who are told more and more: on a busy machine it may be they who cannot keep up."""

DRAIN_SECONDS = 180.0
"""The same once no producer sends any more, for a narrow reader with a whole tail before it: 1.5 MB or so."""

Wire = RawWire | HttpxWire | SseclientWire | BrowserWire

_EVERY = (None, None, "100ms", None, None, "300ms")


class Size:
    """How much of everything: small for a test of seconds, full for minutes."""

    def __init__(
        self, *, remotes: int, locals_: int, readers: int, pages: int, storm: int, pause: float
    ) -> None:
        self.remotes = remotes
        self.locals = locals_
        self.readers = readers
        self.pages = pages
        self.storm = storm
        self.pause = pause


SMALL = Size(remotes=3, locals_=2, readers=6, pages=0, storm=60, pause=0.08)
FULL = Size(remotes=6, locals_=4, readers=12, pages=3, storm=1000, pause=0.12)


class World:
    """One torture in a folder. Use :func:`world`."""

    def __init__(
        self, folder: Path, seed: int, size: Size, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.db = folder / "torture.db"
        self.size = size
        self.seed = seed
        self.dice = random.Random(seed)
        self.model = Model(self.db)
        self.server = Server(self.db, folder / "server", environment=environment)
        self.second = Server(self.db, folder / "second")
        self.proxy = Proxy(random.Random(seed + 1))
        self.chromium = Chromium()
        self.client = httpx.AsyncClient(timeout=30, trust_env=False)
        self.remotes: list[RemoteProducer] = []
        self.locals: list[LocalProducer] = []
        self.wires: dict[int, Wire] = {}
        self.retired: list[Reader] = []
        self.failures: list[BaseException] = []
        self.faults: Counter[str] = Counter()
        self.tally: Counter[str] = Counter()
        self.answer_within = ANSWER_SECONDS
        self.slowest = 0.0
        self.slowest_reader = 0.0
        self.slowest_one = ""
        self.drained = 0.0
        self.seen_checked = 0
        self.snapshots_checked = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._checked_to = 0
        self._lives = True

    # ── beginning and end ───────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        await self.server.start()
        self.proxy.target = self.server.port
        await self.proxy.start()
        for number in range(self.size.remotes):
            way = ("events", "remote", "lines")[number % 3]
            dice = random.Random(f"{self.seed} remote {number}")
            producer = RemoteProducer(f"r{number}", way, self.model, self.port, dice, self.size.pause)
            self.remotes.append(producer)
            self._spawn(self._guarded(producer.run()))
        for number in range(self.size.locals):
            kind = ("append", "report", "append", "report")[number % 4]
            place = self.server.url if number % 4 == 3 else self.db
            local = LocalProducer(f"l{number}", kind, place, self.model, self.size.pause)
            self.locals.append(local)
            await local.start(self.dice.randrange(2**30))
        pages = self.size.pages if Chromium.there() else 0
        if pages:
            await self.chromium.start()
        for number in range(self.size.readers + pages):
            self._spawn(self._guarded(self._read(number)))

    async def end(self) -> None:
        self._lives = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(local.kill() for local in self.locals), return_exceptions=True)
        for server in (self.server, self.second):
            if server.alive:
                await server.kill()
        await self.chromium.close()
        await self.proxy.close()
        await self.client.aclose()

    def port(self) -> int:
        """Where to connect: straight, through the proxy, or to the second server while there is one."""
        roll = self.dice.random()
        if self.second.alive and self.second.port and roll < 0.4:
            return self.second.port
        return self.proxy.port if roll < 0.75 else self.server.port

    def _spawn(self, work: object) -> None:
        self._tasks.append(asyncio.create_task(work))  # type: ignore[arg-type]  # any coroutine

    async def _guarded(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]  # a coroutine
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failures.append(error)

    # ── readers ─────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, number: int) -> None:
        dice = random.Random(f"{self.seed} reader {number}")
        page = number >= self.size.readers
        kind = (RawWire, HttpxWire, RawWire, SseclientWire)[number % 4]
        name = "browser" if page else kind.__name__
        many = number % 3 == 0
        turn = 0
        while self._lives:
            turn += 1
            run_id = None
            if not many:
                active = self.model.active()
                if not active:
                    await asyncio.sleep(0.2)
                    continue
                run_id = dice.choice(active)
            every = dice.choice(_EVERY)
            narrow = kind is RawWire and not page and number % 4 == 2
            reader = Reader(f"{name} {number}.{turn}", self.model, run_id=run_id, every=every, narrow=narrow)
            told = (reader, self.port, dice, self.failures.append)
            wire: Wire = BrowserWire(*told, self.chromium) if page else kind(*told)
            self.wires[number] = wire
            try:
                await wire.run()
            finally:
                del self.wires[number]
                self.retired.append(reader)

    @property
    def readers(self) -> list[Reader]:
        return [wire.reader for wire in list(self.wires.values())]

    # ── checks ──────────────────────────────────────────────────────────────────────────────────────────

    def raise_failures(self) -> None:
        if self.failures:
            raise self.failures[0]
        for server in (self.server, self.second):
            if "Traceback" in (said := server.errors()):
                raise Broken(f"a traceback on the server's standard error: {said[-2500:]}")

    async def answers(self) -> None:
        """The service answers, to a read and to an append, within ``answer_within`` seconds of now."""
        began = asyncio.get_running_loop().time()
        await self.server.answers(self.client, self.answer_within)
        self.tally["probes"] += 1
        run_id = f"probe.{self.tally['probes']}"
        self.model.say(run_id, run_id)
        self.model.living.add(run_id)
        body = {"run_id": run_id, "kind": "probe", "title": run_id}
        answer = await self.client.post(f"{self.server.url}/v1/runs", json=body)
        while (
            answer.status_code in (429, 503, 507)
            and asyncio.get_running_loop().time() - began < self.answer_within
        ):
            await asyncio.sleep(0.05)
            answer = await self.client.post(f"{self.server.url}/v1/runs", json=body)
        took = asyncio.get_running_loop().time() - began
        if not answer.is_success or took > self.answer_within:
            raise Broken(f"an append is answered {answer.status_code} after {took:.1f} s: {answer.text}")
        self.model.ack(run_id, run_id, answer.json()["position"], 1)
        self.slowest = max(self.slowest, took)

    async def check(self, *, last: bool = False) -> None:
        """All promises, as of now. ``last``: no producer sends any more."""
        self.raise_failures()
        self.model.check()
        await self._readers_are_told(last=last)
        self.model.read(self.db)
        for reader in (*self.retired, *self.readers):
            self.seen_checked += reader.check()
        for reader in self.retired:
            self.tally.update(reader.tally)
        self.retired.clear()
        await self._snapshots_are_right()
        self.raise_failures()
        self._checked_to = self.model.position

    async def _readers_are_told(self, *, last: bool) -> None:
        # Narrow readers need not have been told all at the checks before.
        after = 0 if last else min(self._checked_to, self.model.position)
        targets = {run_id: (fold.version, fold.position) for run_id, fold in self.model.changed_after(after)}
        within = DRAIN_SECONDS if last else CRAWL_SECONDS
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = self.readers
        why = ""
        while waiting and (took := loop.time() - began) < within:
            self.raise_failures()
            if took > CATCH_UP_SECONDS and any(reader.silent > CATCH_UP_SECONDS for reader in waiting):
                break
            lacking = []
            for reader in waiting:
                lack = reader.lacks(targets)
                if lack is not None and (last or not reader.crawls(took)):
                    lacking.append(reader)
                    why = f"{reader.name} ({reader.path}) was not told {lack}; {reader.place()}"
            waiting = lacking
            await asyncio.sleep(0.03)
        if last:
            self.drained = loop.time() - began
        elif loop.time() - began > self.slowest_reader:
            self.slowest_reader, self.slowest_one = loop.time() - began, why
        alive = self.readers
        if any(reader in alive for reader in waiting):
            raise Broken(f"after {loop.time() - began:.0f} s {why}")

    async def _snapshots_are_right(self) -> None:
        runs = list(self.model.runs)
        recent = list(dict.fromkeys(self.model.by_position[-300:]))
        chosen = [self.dice.choice(runs), *self.dice.sample(recent, min(2, len(recent)))]
        for run_id in chosen:
            at = self.dice.randrange(len(self.model.runs[run_id])) + 1
            for query in ("", f"?at=v{at}"):
                answer = await self.client.get(f"{self.server.url}/v1/runs/{run_id}{query}")
                if answer.status_code != 200:
                    raise Broken(f"GET {run_id}{query}: {answer.status_code} {answer.text}")
                shown = answer.json()
                if shown["version"] > len(self.model.runs[run_id]):
                    self.model.read(self.db)
                fold = self.model.fold(run_id, shown["version"])
                if fold is None or (query and fold.version != at):
                    raise Broken(f"GET {run_id}{query} shows version {shown['version']}")
                why = fold.differs(shown)
                if why:
                    raise Broken(f"GET {run_id}{query}: {why}")
                self.snapshots_checked += 1

    # ── quiet ───────────────────────────────────────────────────────────────────────────────────────────

    async def quiet(self) -> None:
        """Hold all producers: those over HTTP between two requests, local ones are ended."""
        for remote in self.remotes:
            remote.gate.clear()
        await asyncio.gather(*(local.kill() for local in self.locals))
        async with asyncio.timeout(30):
            for remote in self.remotes:
                waiting = asyncio.create_task(remote.idle.wait())
                while not waiting.done():
                    self.raise_failures()
                    await asyncio.wait([waiting], timeout=0.1)

    async def loud(self) -> None:
        """Let them go on."""
        for remote in self.remotes:
            remote.gate.set()
        for local in self.locals:
            await local.start(self.dice.randrange(2**30))

    async def finish(self) -> None:
        """The last checks: nothing lost at the end, the file verifies, and a fresh fold shows the same."""
        await self.quiet()
        await self.check(last=True)
        self.model.check()
        status = await self.server.terminate()
        if status != 0:
            raise Broken(f"the server ended with status {status}")
        self.model.read(self.db)
        verified = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; from progress_ledger.api.cli import main; sys.exit(main())",
            "verify",
            "--db",
            str(self.db),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await verified.communicate()
        if verified.returncode != 0:
            raise Broken(f"verify: {output.decode()[-500:]}")
        with closing(sqlite3.connect(self.db)) as file:
            (found,) = file.execute("PRAGMA integrity_check").fetchone()
            if found != "ok":
                raise Broken(f"integrity_check: {found}")
        self.tally["refolded"] = await refolded(self.db)


async def refolded(db: Path) -> int:
    """Hold what is kept beside the log against a fold from zero, whole snapshots. How many runs that were."""
    from progress_ledger.ledger import Ledger
    from progress_ledger.projections.projector import Projector

    copy = db.with_name("refold.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(db)) as file, closing(sqlite3.connect(copy)) as other:
        file.backup(other)
        other.execute("DELETE FROM document")
        other.execute("DELETE FROM checkpoint")
        other.commit()
        run_ids = [
            row[0] for row in file.execute("SELECT run_id FROM run_entry ORDER BY number DESC LIMIT 2000")
        ]
    shown = []
    for path in (db, copy):
        async with Ledger.open(path, sweep=False) as ledger, Projector.open(ledger) as projector:
            shown.append(await projector.snapshots(run_ids, now=4e9))
    for run_id in run_ids:
        if shown[0][run_id] != shown[1][run_id]:
            raise Broken(f"kept: {shown[0][run_id]}\nfolded afresh: {shown[1][run_id]}")
    return len(run_ids)


@asynccontextmanager
async def world(
    folder: Path, seed: int, size: Size, environment: dict[str, str] | None = None
) -> AsyncIterator[World]:
    """A world that has begun; everything of it is ended on leaving."""
    made = World(folder, seed, size, environment)
    try:
        await made.begin()
        yield made
    finally:
        await made.end()
