"""What a reader may conclude from the frames of a stream, and whether the product kept its word.

Knows nothing of sockets: whoever carries the frames calls :meth:`Reader.connected` and :meth:`Reader.frame`.
A reader believes only what it was told, as a page would: each event once and in order, or a ``hello`` that
says ``reset`` and a snapshot after it.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple

import msgspec

from .folding import TERMINAL, token_of
from .model import Broken, Model

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_EPOCH_CHANGES = frozenset(("epoch",))


class _Seen(NamedTuple):
    run_id: str
    version: int
    shown: dict[str, Any]
    event: dict[str, Any] | None


class Reader:
    """One reader of one run (``run_id``) or of all; ``every`` when its stream is conflated.

    One that is ``narrow`` may be sent less in a second than all runs have to tell: it falls behind, is told
    so, and goes on. Once no more comes it has to be told everything.
    """

    def __init__(
        self, name: str, model: Model, *, run_id: str | None, every: str | None = None, narrow: bool = False
    ) -> None:
        self.name = name
        self.run_id = run_id
        self.every = every
        self.narrow = narrow
        self.cursor: str | None = None
        self.versions: dict[str, int] = {}
        self.finals: set[str] = set()
        self.finished = False
        self.base = 0
        self.told_at = time.monotonic()
        self.tally: Counter[str] = Counter()
        self._model = model
        self._sent: str | None = None
        self._greeted = False
        self._waits = True
        self._pending: dict[str, int] = {}
        self._followed: set[str] = set()
        self._position = 0
        self._seen: list[_Seen] = []

    @property
    def path(self) -> str:
        query = f"?every={self.every}" if self.every else ""
        return f"/v1/runs/{self.run_id}/stream{query}" if self.run_id else f"/v1/stream{query}"

    def connected(self) -> None:
        """A new connection is about to be made, with the cursor as it is."""
        self._sent = self.cursor
        self._greeted = False
        self.tally["connections"] += 1

    def nothing(self) -> None:
        """The answer was 204: the run is over, and this reader was told everything."""
        if self.run_id is None or self.run_id not in self.finals:
            raise Broken(f"{self.name}: told that nothing will come, and it has not seen the end")
        self.finished = True

    def frame(self, event: str, text: str | bytes, ident: str | None) -> None:
        """One frame as the client's library gave it out. Raises Broken."""
        self.told_at = time.monotonic()
        try:
            data = _decode(text)
            if event in ("hello", "busy", "drain"):
                self.tally[event] += 1
                if event == "hello":
                    self._hello(data)
            elif not self._greeted:
                raise Broken(f"{event} came before hello")
            elif event == "snapshot":
                self._snapshot(data["run"], ident)
            elif event == "live":
                self._live(data, ident)
            else:
                self._event(event, data, ident)
        except Broken as error:
            raise Broken(f"{self.name} ({self.path}, sent {self._sent}): {error}") from None
        if ident:
            self.cursor = ident

    def _hello(self, data: dict[str, Any]) -> None:
        status, reason = data["status"], data["reason"]
        self.tally[status if reason is None else f"{status}: {reason}"] += 1
        again = self._greeted
        self._greeted = True
        if again and (status, reason) != ("reset", "behind"):
            raise Broken(f"a second hello says {data}")
        if status == "resumed":
            if self._sent is None:
                raise Broken("resumed without a cursor")
            return
        if (status == "new") != (self._sent is None and not again):
            raise Broken(f"hello says {data}")
        if reason in ("unknown", "future"):
            raise Broken(f"hello says {data} of a cursor that is this log's own")
        if reason == "epoch" and len(self._model.epochs) < 2 and not self._model.cut_away:
            raise Broken(f"hello says {data}, and the log is still the same")
        self._waits = True
        followed = {*self.versions, *self._pending} - self.finals
        self._followed = followed if reason == "behind" else set()
        self._pending = {}
        if reason == "epoch":
            self.versions.clear()
            self.finals.clear()

    def _snapshot(self, run: dict[str, Any], ident: str | None) -> None:
        run_id, version = run["run_id"], run["version"]
        self._seen.append(_Seen(run_id, version, run, None))
        self.tally["snapshots"] += 1
        before = self.versions.get(run_id, 0)
        if version < before:
            raise Broken(f"a snapshot of {run_id} goes back from version {before} to {version}")
        if not self._waits:
            # Unconflated, only what is no fact comes so: that a run stalls, or a new estimate.
            if not self.every and (version != before or ident is not None):
                raise Broken(f"a snapshot of {run_id} v{version} without a reset, after v{before}")
            self.versions[run_id] = version
        elif self.run_id is not None:
            self.versions = {run_id: version}
            self._waits = False
        else:
            self._pending[run_id] = version
        if ident and self.run_id is not None:
            self._position = int(ident.rpartition("-")[2])

    def _live(self, data: dict[str, Any], ident: str | None) -> None:
        if self.run_id is not None or not self._waits or ident is None:
            raise Broken("live came where it does not belong")
        if data["runs"] != len(self._pending):
            raise Broken(f"live counts {data['runs']} runs, {len(self._pending)} came")
        position = int(ident.rpartition("-")[2])
        if lost := self._followed - self._pending.keys() - self.finals:
            raise Broken(f"fell behind, and the ends of {sorted(lost)} were never told")
        self.versions = self._pending
        self._pending = {}
        self._waits = False
        self.base = self._position = position

    def _event(self, name: str, data: dict[str, Any], ident: str | None) -> None:
        event, run = data["event"], data["run"]
        run_id, version, position = event["run_id"], event["version"], event["position"]
        final = data.get("final", False)
        if name != event["type"] or final != (name in TERMINAL) or run["version"] != version:
            raise Broken(f"{name} final={final} carries {event['type']} v{version}, run v{run['version']}")
        if self.run_id not in (None, run_id):
            raise Broken(f"an event of {run_id}")
        self._seen.append(_Seen(run_id, version, run, event))
        self.tally["events"] += 1
        before = self.versions.get(run_id, 0)
        retold = final and (version == before or self._waits or bool(self.every)) and version >= before
        if not retold and (self._waits or (not self.every and version != before + 1) or version <= before):
            raise Broken(f"{run_id} v{version} at {position} came after v{before} (waiting={self._waits})")
        if final:
            # Conflated, the end comes without an id while other runs are held back, and again after a cut.
            if run_id in self.finals and not self._waits and not self.every:
                raise Broken(f"the end of {run_id} came twice")
            self.finals.add(run_id)
        if not self._waits:
            if not self.every and position <= self._position and not retold:
                raise Broken(f"position {position} came after {self._position}")
            self._position = max(self._position, position)
            self.versions[run_id] = version
        if ident and ident.rpartition("-")[2] != str(position):
            raise Broken(f"position {position} has the id {ident}")

    # ── against the log ─────────────────────────────────────────────────────────────────────────────────

    def check(self) -> int:
        """Hold what was shown against the log, as far as that was read. Returns how much was checked."""
        seen, self._seen = self._seen, []
        checked = 0
        for index, (run_id, version, shown, event) in enumerate(seen):
            fold = self._model.fold(run_id, version)
            if fold is None:
                self._seen += seen[index:]
                break
            why = fold.differs(shown)
            if why is not None:
                raise Broken(f"{self.name}: shown of {run_id} v{version}: {why}")
            if event is not None:
                told = (event["position"], event["time"], event["type"])
                token = token_of(event["type"], event["data"])
                if (*told, token) != (fold.position, fold.time, fold.type, fold.token):
                    raise Broken(f"{self.name}: was sent {event}, the log has {fold}")
            checked += 1
        return checked

    @property
    def silent(self) -> float:
        """Seconds since its last frame."""
        return time.monotonic() - self.told_at

    def crawls(self, seconds: float) -> bool:
        """Whether it may be behind, since it is narrow, and was told something in the last ``seconds``."""
        return self.narrow and self.run_id is None and self.silent < seconds

    def place(self) -> str:
        """Where it is, for people."""
        return f"at position {self._position}, its last frame {self.silent:.1f} s ago; {dict(self.tally)}"

    def forget(self) -> None:
        """The log was cut: what was seen of it can no longer be checked."""
        self._seen.clear()

    def lacks(self, targets: dict[str, tuple[int, int]]) -> str | None:
        """What this reader has not been told of ``{run id: (version, position)}``; None when nothing."""
        if self.finished:
            return None
        if self._waits:
            return "a snapshot"
        if self.run_id is not None:
            version, _ = targets.get(self.run_id, (0, 0))
            told = self.versions.get(self.run_id, 0)
            return f"{self.run_id} v{version}, it is at v{told}" if told < version else None
        for run_id, (version, position) in targets.items():
            told = self.versions.get(run_id, 0)
            if position > self.base and told < version and run_id not in self.finals:
                return f"{run_id} v{version}, it is at v{told}"
        return None
