"""How fast does a reader that comes back get what it missed, beside nchan?

A run has 10,000 events of about 200 bytes. One reader comes back with 9,999 of them missed; then 1,000 come
back at once with 100 missed each. From connecting to the last byte. The ledger answers once from the tail in
memory and once, after a restart, from the log on disk; nchan keeps its messages in shared memory. The replay
limit, 1,000 unless set, is raised for this.

What this does not show: networks, and readers that are slow themselves.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import Report, interleave, machine, medians, options
from benchmarks.streams import servers
from benchmarks.streams.load import Readers, ids, read_frames
from benchmarks.streams.servers import Server

EVENTS = 10_000
CROWD = 1_000
FEW = 100


class Side:
    """A server with all events published, and the ids to come back with."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.greeting = 1 if server.name == "ledger" else 0
        # Somebody reads along, as somebody nearly always does: the tail in memory is that of live readers.
        self.along = Readers(server, 1, greeting=2 if server.name == "ledger" else 1)
        for published in range(500, EVENTS + 1, 500):
            server.publish(500)
            self.along.until(self.along.base + published)
        first, few = self._places()
        self.first, self.few = first, few

    def _places(self) -> tuple[str, str]:
        if self.server.name != "ledger":
            # All it has from the oldest on; the first message was published when it was started.
            received, _, _ = read_frames(self.server, EVENTS + 1, last_event_id="0:0")
            found = ids(received)
            return found[1], found[-FEW - 1]
        received, _, _ = read_frames(self.server, 2)
        epoch, _, newest = ids(received)[-1].rpartition("-")
        return f"{epoch}-{int(newest) - EVENTS + 1}", f"{epoch}-{int(newest) - FEW}"

    def one(self) -> float:
        """Milliseconds until one reader has 9,999 events."""
        _, _, last = read_frames(self.server, EVENTS - 1 + self.greeting, last_event_id=self.first)
        return last * 1e3

    def crowd(self) -> float:
        """Milliseconds until 1,000 readers have 100 events each."""
        began = time.perf_counter()
        readers = Readers(self.server, CROWD, greeting=0, last_event_id=self.few)
        done = readers.until(FEW + self.greeting)
        readers.close()
        time.sleep(0.3)
        return (done - began) * 1e3


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    chosen = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    core, load = cores[0], cores[-1]
    os.sched_setaffinity(0, {load})
    missing = servers.nchan_reason()
    sides: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-resume-") as name, ExitStack() as stack:
        folder = Path(name)
        ledger = Side(stack.enter_context(servers.ledger(folder, core)))
        sides |= {"ledger, 9,999 missed": ledger.one, "ledger, 1,000 × 100 missed": ledger.crowd}

        def restarted(measure: Callable[[Side], float]) -> Callable[[], float]:
            def side() -> float:
                # Another process on the same file: nothing of the run is in its memory.
                with servers.ledger(folder, core, keep=True) as server:
                    again = Side.__new__(Side)
                    again.server, again.greeting = server, 1
                    again.first, again.few = ledger.first, ledger.few
                    return measure(again)

            return side

        sides |= {
            "ledger after a restart, 9,999 missed": restarted(Side.one),
            "ledger after a restart, 1,000 × 100 missed": restarted(Side.crowd),
        }
        if missing is None:
            nchan = Side(stack.enter_context(servers.nchan(folder, core)))
            sides |= {"nchan, 9,999 missed": nchan.one, "nchan, 1,000 × 100 missed": nchan.crowd}
        else:
            print(missing, file=sys.stderr)
        middle = medians(interleave(sides, chosen.repeat))
    report = Report("Coming back", machine(loop="uvloop", events=EVENTS, nchan=missing or "1.3.6"))
    for name, value in middle.items():
        report.row(name, value, "ms")
    if missing is None:
        for what, bar in (("9,999 missed", 5.0), ("1,000 × 100 missed", 1.0)):
            ratio = middle[f"nchan, {what}"] / middle[f"ledger, {what}"]
            report.at_least(f"ledger faster than nchan, {what}", ratio, bar)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
