"""Celery with a ledger: every task that a worker runs is a run as well, once ``report_tasks(app)`` is said.

Nothing is opened before a task begins, so that each process of a pool has a ledger of its own. Needs the
package ``celery``, the extra of that name.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from os import PathLike
from typing import Any, cast
from weakref import WeakKeyDictionary

from msgspec import UNSET

from ..door import check_run_id
from ..errors import InvalidRun, LedgerError, RunExists
from ..pattern import fits
from ..producers.background import stop_all
from ..producers.ending import describe
from ..producers.merge import plain_text
from ..producers.open_run import OpenRun, open_run
from ..producers.options import RunOptions, make_spec
from ..producers.outage import Outage
from ..producers.target import choose_target

__all__ = ("BACKLOG", "current_run", "report_tasks")

BACKLOG = 100
"""How many ended tasks of a process may wait for a ledger that is away; beyond it tasks begin unreported."""

_DELIVERIES = 20
_SLOW_SECONDS = 1.0
_REST = 10

_logger = logging.getLogger("progress_ledger.producer")
# Celery has no types, and neither have its tasks and requests.
_celery: Any = import_module("celery")
_signals: Any = import_module("celery.signals")
# A request lives as long as its task is at work, and belongs to one thread.
_runs: WeakKeyDictionary[Any, OpenRun] = WeakKeyDictionary()
_ended: deque[OpenRun] = deque()


def report_tasks(
    app: Any,
    ledger: str | PathLike[str] | None = None,
    *,
    only: str | Iterable[str] = "*",
    **options: Any,
) -> None:
    """Make a run of every task of ``app`` whose name fits one of ``only``, patterns of ``*`` and ``?``.

    ``ledger`` and ``options`` are those of :func:`.open_run` that can be the same for each task: ``scope``,
    ``total``, ``unit``, ``stages``, ``labels``, ``slot``, ``owner``, ``lease_seconds``, ``stall_seconds``,
    ``interval``, ``raise_on_cancel``. Raises TypeError, ValueError or InvalidRun for what is none of these;
    after that no task fails for its ledger.
    """
    spec = dict(options)
    RunOptions(**{name: spec.pop(name) for name in ("interval", "raise_on_cancel") if name in spec})
    make_spec("task", title=None, parent=None, retry_of=None, **spec)
    options |= {"ledger": choose_target(ledger), "patience": 0.0}
    reporter = _Reporter(app, (only,) if isinstance(only, str) else tuple(only), options)
    _signals.task_prerun.connect(reporter.begin, weak=False)
    _signals.task_postrun.connect(_end, weak=False)
    _signals.worker_process_shutdown.connect(_flush, weak=False)


def current_run() -> OpenRun:
    """The run of the task that calls; outside of one, and where it is unreported, a run that does nothing."""
    task = _celery.current_task
    return (_runs.get(task.request) if task else None) or open_run("task", disabled=True)


class _Reporter:
    def __init__(self, app: Any, patterns: tuple[str, ...], options: dict[str, Any]) -> None:
        self._app = app
        self._patterns = patterns
        self._options = options
        self._rest_until = 0.0
        self._trouble = Outage()

    def begin(self, sender: Any, task_id: str, **_: Any) -> None:
        if not self._means(sender) or sender.request in _runs:
            return
        began = time.monotonic()
        with suppress(IndexError):  # of several threads here, another may take the last one
            while not _ended[0].statistics.waiting:
                _ended.popleft()
        try:
            if began < self._rest_until or len(_ended) >= BACKLOG:
                raise TimeoutError("the ledger is away, or slow")
            _runs[sender.request] = self._open(sender, task_id)
            _overhear(sender)
        except Exception as error:  # the task goes on, whatever is the matter
            if self._trouble.may_speak(began):
                _logger.warning("the task %s[%s] goes unreported: %s", sender.name, task_id, error)
        took = time.monotonic() - began
        if took > _SLOW_SECONDS:
            # A ledger that hangs costs a worker a tenth of its time at most.
            self._rest_until = began + _REST * took

    def _means(self, task: Any) -> bool:
        mine = self._app == task.app and not task.name.startswith("celery.")
        return mine and any(fits(pattern, task.name) for pattern in self._patterns)

    def _open(self, task: Any, task_id: str) -> OpenRun:
        request, kind = task.request, task.name[:128]
        queue = request.delivery_info and request.delivery_info.get("routing_key")
        told: dict[str, Any] = {"task_id": task_id, "queue": queue, "worker": request.hostname}
        labels = {name: plain_text(text)[:256] for name, text in told.items() if text}
        options: dict[str, Any] = dict(self._options)
        options["labels"] = {**labels, **(options.get("labels") or {})}
        options["title"] = plain_text(request.shadow)[:1024] if request.shadow else None
        try:
            check_run_id(f"{task_id}.{request.retries + _DELIVERIES}")
        except InvalidRun:
            return open_run(kind, **options)
        # The id stays the same over retries, and when a message is delivered again after its worker was lost.
        earlier = _attempt(task_id, request.retries) if request.retries else None
        for number in range(request.retries + 1, request.retries + _DELIVERIES):
            run_id = _attempt(task_id, number)
            try:
                return open_run(kind, run_id=run_id, retry_of=earlier, **options)
            except RunExists:
                earlier = run_id
        return open_run(kind, retry_of=earlier, **options)


def _attempt(task_id: str, number: int) -> str:
    return task_id if number == 1 else f"{task_id}.{number}"


def _overhear(task: Any) -> None:
    # No signal tells what a task says of its progress; its own method does, replaced on the one object
    # that a process has of each task.
    if "update_state" in vars(task):
        return
    update = task.update_state

    def update_state(task_id: Any = None, state: Any = None, meta: Any = None, **options: Any) -> None:
        update(task_id, state, meta, **options)
        run = _runs.get(task.request)
        told = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
        if run is not None and task_id in (None, task.request.id) and "current" in told:
            texts = (told.get(name) for name in ("message", "status", "description"))
            message = next((text for text in texts if isinstance(text, str)), None)
            run.set(told["current"], told.get("total", UNSET), message=message)

    task.update_state = update_state


def _end(sender: Any, retval: Any = None, state: str | None = None, **_: Any) -> None:
    run = _runs.pop(sender.request, None)
    if run is None:
        return
    error = None if state == "SUCCESS" else retval if state else sys.exc_info()[1]
    try:
        if state == "RETRY":
            run.fail(describe(retval if retval.exc is None else retval.exc), "to be tried again")
        elif state in ("IGNORED", "REJECTED") or not isinstance(error, Exception | None):
            run.cancel((state or "stopped before its end").lower())
        run.leave(error)
    except LedgerError as refused:
        _logger.debug("the run %s did not end as its task did: %s", run.run_id, refused)
    _ended.append(run)


def _flush(**_: Any) -> None:
    # The processes of a pool leave by os._exit.
    stop_all()
