"""Producers of events: over HTTP in this process, and processes of their own on the same file."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from progress_ledger.ledger import (
    Completed,
    Failed,
    Noted,
    Paused,
    Payload,
    Resumed,
    Rewound,
    StageChanged,
    Ticked,
    Unavailable,
)
from progress_ledger.ledger.door import draft_event
from progress_ledger.ledger.producers.remote import RemoteLedger

from .model import Broken, Model

_RETRY = 0.1
_PASSING = (429, 502, 503, 507)


class _Story:
    """What one run's producer says, at random, always allowed by the run's status."""

    def __init__(self, dice: random.Random, run_id: str, length: int) -> None:
        self.run_id = run_id
        self.done = 0
        self.number = 0
        self._dice = dice
        self._left = length
        self._paused = False

    def token(self) -> str:
        self.number += 1
        return f"{self.run_id}.{self.number}"

    def next(self) -> tuple[str, Payload]:
        """The next event and its token."""
        token = self.token()
        self._left -= 1
        roll = self._dice.random()
        event: Payload
        if self._paused:
            self._paused = False
            event = Resumed(reason=token)
        elif self._left <= 0:
            event = Completed(message=token) if roll < 0.8 else Failed(error="boom", message=token)
        elif roll < 0.03:
            self._paused = True
            event = Paused(reason=token)
        elif roll < 0.06:
            self.done = 0
            event = StageChanged(stage=self._dice.choice(("cut", "sew", "iron")), total=900, message=token)
        elif roll < 0.08:
            self.done //= 2
            event = Rewound(done=self.done, reason=token)
        elif roll < 0.12:
            event = Noted(message=token, level="info")
        elif roll < 0.4:
            self.done += 2
            event = Ticked(advance=2, counts={"good": 1, "bad": self._dice.randrange(2)}, message=token)
        else:
            self.done += self._dice.randrange(5)
            event = Ticked(done=self.done, message=token)
        return token, event

    @property
    def over(self) -> bool:
        return self._left <= 0 and not self._paused


class _CutAway(Exception):
    """The log was cut: what the run's producer believes of it no longer holds, so it begins another."""


class RemoteProducer:
    """Sends with event ids, again and again, until it is answered. ``way``: events, remote or lines."""

    def __init__(
        self, name: str, way: str, model: Model, port: Callable[[], int], dice: random.Random, pause: float
    ) -> None:
        self.name = name
        self.way = way
        self.gate = asyncio.Event()
        self.gate.set()
        self.idle = asyncio.Event()
        self._model = model
        self._port = port
        self._dice = dice
        self._pause = pause
        self._cuts = 0

    async def run(self) -> None:
        number = 0
        async with httpx.AsyncClient(timeout=15, trust_env=False) as client:
            while True:
                number += 1
                try:
                    await self._one_run(client, f"{self.name}.{number}")
                except _CutAway:
                    self._cuts = self._model.cuts

    async def _one_run(self, client: httpx.AsyncClient, run_id: str) -> None:
        story = _Story(self._dice, run_id, self._dice.randrange(5, 300))
        self._model.living.add(run_id)
        token = story.token()
        self._model.say(token, run_id)
        body = {"run_id": run_id, "kind": "send", "title": token, "total": 900}
        await self._until(client, lambda url: client.post(f"{url}/v1/runs", json=body), run_id)
        self._model.ack(token, run_id, None, 1)
        while not story.over:
            events = [story.next()]
            while self._dice.random() < 0.3 and not story.over:
                events.append(story.next())
            for token, _ in events:
                self._model.say(token, run_id)
            await (self._send_lines if self.way == "lines" else self._send)(client, run_id, events)
            await asyncio.sleep(self._dice.uniform(0, self._pause))
        self._model.living.discard(run_id)

    async def _send(self, client: httpx.AsyncClient, run_id: str, events: list[tuple[str, Payload]]) -> None:
        if self.way == "remote":
            receipts = await self._send_by_ledger(run_id, events)
        else:
            body = {"events": [_plain(event) | {"event_id": token} for token, event in events]}
            url = f"/v1/runs/{run_id}/events"
            answer = await self._until(client, lambda base: client.post(base + url, json=body), run_id)
            receipts = [(each["position"], each["version"]) for each in answer["receipts"]]
        for (token, _), (position, version) in zip(events, receipts, strict=True):
            self._model.ack(token, run_id, position, version)

    async def _send_by_ledger(self, run_id: str, events: list[tuple[str, Payload]]) -> list[tuple[int, int]]:
        drafts = [draft_event(event, event_id=token) for token, event in events]
        while True:
            await self._wait()
            try:
                async with RemoteLedger.open(f"http://127.0.0.1:{self._port()}") as ledger:
                    accepted = await ledger.append(run_id, drafts)
                return [(each.position, each.version) for each in accepted.receipts]
            except Unavailable:
                await asyncio.sleep(_RETRY)

    async def _send_lines(
        self, client: httpx.AsyncClient, run_id: str, events: list[tuple[str, Payload]]
    ) -> None:
        lines = b"\n".join(
            msgspec.json.encode(_plain(event) | {"run_id": run_id, "event_id": token})
            for token, event in events
        )
        answer = await self._until(
            client, lambda base: client.post(f"{base}/v1/events", content=lines), run_id
        )
        if answer["accepted"] != len(events):
            raise Broken(f"{run_id}: the lines were answered with {answer}")
        for token, _ in events:
            self._model.ack(token, run_id)

    async def _until(self, client: httpx.AsyncClient, send: Callable[[str], Any], run_id: str) -> Any:
        while True:
            await self._wait()
            try:
                answer: httpx.Response = await send(f"http://127.0.0.1:{self._port()}")
                if answer.is_success:
                    return answer.json()
            except httpx.HTTPError:
                await asyncio.sleep(_RETRY)
                continue
            if answer.status_code not in _PASSING:
                raise Broken(f"{run_id}: answered with {answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(_RETRY)

    async def _wait(self) -> None:
        if not self.gate.is_set():
            self.idle.set()
            await self.gate.wait()
            self.idle.clear()
        if self._cuts != self._model.cuts:
            raise _CutAway


def _plain(event: Payload) -> dict[str, Any]:
    draft = draft_event(event)
    return {"type": draft.type, "data": msgspec.json.decode(draft.data)}


class LocalProducer:
    """A process that writes the same file (or, reporting, to a server), killed and begun again."""

    def __init__(self, name: str, kind: str, place: Path | str, model: Model, pause: float) -> None:
        self.name = name
        self.kind = kind
        self.starts = 0
        self.troubles = 0
        self._place = place
        self._model = model
        self._pause = pause
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._runs: set[str] = set()
        self._killed = False
        self._errors = b""

    async def start(self, seed: int) -> None:
        self.starts += 1
        self._killed = False
        name = f"{self.name}.{self.starts}"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.torture.producer_process",
            str(self._place),
            name,
            self.kind,
            str(seed),
            str(self._pause),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._listener = asyncio.create_task(self._listen(self._process))

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            assert self._process is not None
            os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """kill -9, then read what it still said."""
        if self._process is None or self._listener is None:
            return
        self._killed = True
        # From here on its runs may be interrupted by whoever opens the ledger.
        self._model.living -= self._runs
        self._runs.clear()
        self.signal(signal.SIGKILL)
        await self._process.wait()
        await self._listener
        if b"Traceback" in self._errors:
            raise Broken(f"{self.name}: {self._errors.decode()[-1500:]}")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        stderr = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self._heard(msgspec.json.decode(line, type=dict[str, Any]))
        self._errors = await stderr

    def _heard(self, told: dict[str, Any]) -> None:
        run_id = told.get("run", "")
        if "say" in told:
            self._model.say(told["say"], run_id)
        if "ack" in told:
            self._model.ack(told["ack"], run_id, told["position"], told["version"])
        if "sum" in told:
            self._model.sums.append((run_id, told["sum"]))
        if "trouble" in told:
            self.troubles += 1
        if told.get("over") or "left" in told:
            self._model.living.discard(run_id)
            self._runs.discard(run_id)
        elif run_id and run_id not in self._runs and "sum" not in told and not self._killed:
            self._runs.add(run_id)
            self._model.living.add(run_id)
