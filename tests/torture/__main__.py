"""``python -m tests.torture --minutes N --seed S``: faults at random, and every promise checked after each.

Prints what was done and checked, and ends with status 1 at the first promise that does not hold; the folder
with the file is kept then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from .session import Report, torture


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="these faults alone")
    parser.add_argument("--soak", action="store_true", help="only faults the server outlives; prints slopes")
    parser.add_argument("--small", action="store_true", help="few producers and readers")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    report: Report = asyncio.run(
        torture(
            seconds=60 * arguments.minutes,
            seed=arguments.seed,
            only=arguments.only,
            soak=arguments.soak,
            small=arguments.small,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    )
    print(json.dumps(report.facts()) if arguments.json else report.text())
    return 0 if report.broken is None else 1


if __name__ == "__main__":
    sys.exit(_main())
