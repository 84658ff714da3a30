"""Descriptors, threads, tasks and memory of the server over time, and their slopes."""

from __future__ import annotations

import time
from typing import NamedTuple

from .process import Server


class _Sample(NamedTuple):
    at: float
    descriptors: int
    threads: int
    tasks: int
    memory: int


class Samples:
    """Samples of the longest-lived server process."""

    def __init__(self) -> None:
        self._by_process: dict[int, list[_Sample]] = {}

    async def take(self, server: Server) -> None:
        """Look once."""
        tasks = await server.tasks()
        if tasks is None:
            return
        sample = _Sample(time.monotonic(), server.descriptors(), server.threads(), tasks, server.memory())
        self._by_process.setdefault(server.pid, []).append(sample)

    def slopes(self) -> dict[str, float]:
        """Growth an hour over the second half of the longest life, when that is long enough to say."""
        longest = max(self._by_process.values(), key=len, default=[])
        half = longest[len(longest) // 2 :]
        if len(half) < 8:
            return {}
        times = [sample.at for sample in half]
        return {
            "descriptors": 3600 * _slope(times, [float(sample.descriptors) for sample in half]),
            "threads": 3600 * _slope(times, [float(sample.threads) for sample in half]),
            "tasks": 3600 * _slope(times, [float(sample.tasks) for sample in half]),
            "MiB resident": 3600 * _slope(times, [sample.memory / 2**20 for sample in half]),
            "MiB resident at the end": half[-1].memory / 2**20,
            "descriptors at the end": float(half[-1].descriptors),
            "tasks at the end": float(half[-1].tasks),
            "minutes looked at": (times[-1] - times[0]) / 60,
        }


def _slope(times: list[float], values: list[float]) -> float:
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread
