"""Celery's tasks are runs, in real workers of every pool that the adapter is for."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.ledger import CancelRequested, InvalidRun, Ledger
from progress_ledger.ledger.liveness.owner import parse_owner
from progress_ledger.ledger.producers import background
from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producers.test_open_run import events
from tests.ledger.producing import until

celery: Any = pytest.importorskip("celery")
adapter: Any = pytest.importorskip("progress_ledger.ledger.adapters.celery")

JOBS = """
import os, sys, time
from pathlib import Path

from celery import Celery
from celery.exceptions import Ignore
from progress_ledger.ledger.adapters.celery import current_run, report_tasks

folder = Path(os.environ["JOBS_FOLDER"])
queue = {name: str(folder / "queue") for name in ("data_folder_in", "data_folder_out", "control_folder")}
queue["polling_interval"] = 0.1
app = Celery("jobs", broker="filesystem://")
app.conf.update(broker_transport_options=queue, worker_send_task_events=False, task_ignore_result=True)
report_tasks(app, folder / "p.db", only=["jobs.*", "other.?"], unit="files", labels={"team": "a"})


@app.task(bind=True, name="jobs.hash")
def hash(self, count):
    for number in range(1, count + 1):
        meta = {"current": number, "total": count, "status": f"no. {number}"}
        self.update_state(state="PROGRESS", meta=meta)
    with current_run().stage("tidy"):
        current_run().note("all hashed")


@app.task(name="jobs.breaks")
def breaks():
    raise ValueError("no such file")


@app.task(bind=True, name="jobs.again", max_retries=3)
def again(self):
    if self.request.retries < 2:
        try:
            raise OSError("busy")
        except OSError as error:
            raise self.retry(exc=error, countdown=0)


@app.task(name="jobs.ignored")
def ignored():
    raise Ignore()


@app.task(name="unmeant")
def unmeant():
    (folder / "unmeant").touch()


@app.task(name="jobs.waits")
def waits():
    (folder / "waits.part").write_text(str(os.getpid()))
    (folder / "waits.part").rename(folder / "waits")
    while True:
        time.sleep(0.05)


@app.task(name="jobs.hangs", time_limit=1)
def hangs():
    while True:
        time.sleep(0.05)
"""


class Worker:
    """A real one, and what its tasks left in the ledger."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], app: Any) -> None:
        self.folder = folder
        self.path = folder / "p.db"
        self.process = process
        self.app = app

    def send(self, name: str, *args: object, **options: object) -> str:
        task_id: str = self.app.send_task(name, args, **options).id
        return task_id

    def statuses(self) -> dict[str, str]:
        try:
            connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            try:
                return dict(connection.execute("SELECT run_id, status FROM run"))
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return {}  # not there yet

    def wait(self, condition: Callable[[], bool]) -> None:
        def so() -> bool:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return condition()

        try:
            anyio.run(until, so)
        except TimeoutError:
            pytest.fail((self.folder / "log").read_text() + str(self.statuses()))

    def end_of(self, run_id: str) -> str:
        self.wait(lambda: self.statuses().get(run_id) not in (None, "running"))
        return self.statuses()[run_id]


@contextmanager
def worker(folder: Path, *options: str) -> Iterator[Worker]:
    """A worker process, stopped as its users stop it."""
    (folder / "queue").mkdir()
    (folder / "jobs.py").write_text(JOBS)
    queue = {name: str(folder / "queue") for name in ("data_folder_in", "data_folder_out", "control_folder")}
    app = celery.Celery("sender", broker="filesystem://", set_as_current=False)
    app.conf.update(broker_transport_options=queue, task_ignore_result=True)
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", *alone, *options]
    environ = {**os.environ, "JOBS_FOLDER": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        yield Worker(folder, process, app)
        process.terminate()
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        app.close()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_of_every_pool_are_runs_and_end_as_the_tasks_do(tmp_path: Path, pool: str) -> None:
    # A child that leaves after two tasks still has the end of the second one to write.
    with worker(tmp_path, f"--pool={pool}", "--concurrency=2", "--max-tasks-per-child=2") as at:
        hashed, broken, ignored = at.send("jobs.hash", 3), at.send("jobs.breaks"), at.send("jobs.ignored")
        again = at.send("jobs.again")
        at.send("unmeant")
        assert at.end_of(hashed) == "completed"
        assert at.end_of(broken) == "failed"
        assert at.end_of(ignored) == "cancelled"
        assert at.end_of(f"{again}.3") == "completed"
        at.wait((tmp_path / "unmeant").exists)
        worker_pid = at.process.pid
        assert set(at.statuses()) == {hashed, broken, ignored, again, f"{again}.2", f"{again}.3"}

    first, *middle, last = events(at.path, hashed)
    assert first["data"] | {"owner": "", "labels": {}} == {
        "kind": "jobs.hash", "unit": "files", "labels": {}, "owner": "", "lease_seconds": 90.0
    }  # fmt: skip
    labels = dict(first["data"]["labels"])
    assert labels.pop("worker").startswith("celery@")
    assert labels == {"task_id": hashed, "queue": "celery", "team": "a"}
    incarnation = parse_owner(first["data"]["owner"]).incarnation
    assert incarnation is not None
    assert (incarnation.pid == worker_pid) == (pool != "prefork")
    ticks = [event["data"] for event in middle if event["type"] == "ticked"]
    assert ticks[-1] == {"done": 3, "message": "no. 3"} | ({"total": 3} if len(ticks) == 1 else {})
    assert [event["type"] for event in middle if event["type"] != "ticked"] == ["stage_changed", "noted"]
    assert last["type"] == "completed"
    assert events(at.path, broken)[-1]["data"] == {"error": "ValueError: no such file"}
    third = events(at.path, f"{again}.3")[0]["data"]
    assert (third["retry_of"], third["attempt"]) == (f"{again}.2", 3)
    assert events(at.path, again)[-1]["data"] == {"error": "OSError: busy", "message": "to be tried again"}


def test_a_killed_child_leaves_an_interrupted_run_and_the_next_task_is_reported(tmp_path: Path) -> None:
    with worker(tmp_path, "--pool=prefork", "--concurrency=1") as at:
        killed = at.send("jobs.waits")
        at.wait((tmp_path / "waits").exists)
        assert at.statuses() == {killed: "running"}
        os.kill(int((tmp_path / "waits").read_text()), signal.SIGKILL)
        following = at.send("jobs.hash", 1)
        assert at.end_of(following) == "completed"
        assert at.end_of(killed) == "interrupted"


def test_a_task_that_is_terminated_is_cancelled(tmp_path: Path) -> None:
    with worker(tmp_path, "--pool=prefork", "--concurrency=1") as at:
        task_id = at.send("jobs.waits")
        at.wait((tmp_path / "waits").exists)
        at.app.control.revoke(task_id, terminate=True)
        assert at.end_of(task_id) == "cancelled"
        limited = at.send("jobs.hangs")
        assert at.end_of(limited) in ("cancelled", "interrupted")


def task(app: Any, **options: object) -> Callable[[Callable[..., object]], Any]:
    """``app.task``, with a type."""
    decorate: Callable[[Callable[..., object]], Any] = app.task(**options)
    return decorate


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    """An application whose tasks are called right here."""
    app = celery.Celery("here", set_as_current=False, broker="memory://")
    yield app
    for name in ("task_prerun", "task_postrun", "worker_process_shutdown"):
        getattr(celery.signals, name).receivers.clear()
    stop_all()


def ran(path: Path, run_id: str) -> list[tuple[str, Any]]:
    stop_all()
    return [(event["type"], event["data"]) for event in events(path, run_id)]


def test_whatever_a_task_says_of_its_progress_it_goes_on(app: Any, tmp_path: Path) -> None:
    said: list[object] = [
        None, 5, "current", {}, {"current": "many", "total": "all"}, {"current": -1}, {"current": 2.5},
        {"current": 4, "total": None, "message": 7, "description": "fourth"},
    ]  # fmt: skip

    @task(app, bind=True)
    def job(self: Any) -> str:
        for meta in said:
            self.update_state(state="PROGRESS", meta=meta)
        self.update_state("another", state="PROGRESS", meta={"current": 9})
        return "done"

    adapter.report_tasks(app, tmp_path / "p.db")
    assert job.apply(task_id="r").get() == "done"
    ticks = [data for kind, data in ran(tmp_path / "p.db", "r") if kind == "ticked"]
    assert ticks == [{"done": 4, "total": None, "message": "fourth"}]


def test_a_message_that_is_delivered_again_is_the_next_attempt(app: Any, tmp_path: Path) -> None:
    @task(app)
    def job() -> None:
        return None

    adapter.report_tasks(app, tmp_path / "p.db")
    for _ in range(3):
        job.apply(task_id="r")
    assert ran(tmp_path / "p.db", "r")[0][1].get("retry_of") is None
    third = ran(tmp_path / "p.db", "r.3")
    assert (third[0][1]["retry_of"], third[0][1]["attempt"], third[-1][0]) == ("r.2", 3, "completed")


def test_a_task_id_that_cannot_be_a_runs_is_a_label(app: Any, tmp_path: Path) -> None:
    @task(app)
    def job() -> str:
        run_id: str = adapter.current_run().run_id
        return run_id

    adapter.report_tasks(app, tmp_path / "p.db")
    run_id = job.apply(task_id="mail to / everybody").get()
    assert ran(tmp_path / "p.db", run_id)[0][1]["labels"]["task_id"] == "mail to / everybody"


def test_who_is_asked_to_stop_and_does_is_cancelled(app: Any, tmp_path: Path) -> None:
    async def ask() -> None:
        async with Ledger.open(tmp_path / "p.db") as ledger:
            await ledger.append("r", [CancelRequested(reason="enough")])

    @task(app)
    def job() -> None:
        anyio.run(ask)
        anyio.run(until, lambda: adapter.current_run().cancel_requested)

    adapter.report_tasks(app, tmp_path / "p.db")
    assert job.apply(task_id="r").successful()
    assert ran(tmp_path / "p.db", "r")[-1] == ("cancelled", {"reason": "enough"})


def test_a_slow_ledger_is_left_alone_for_a_while(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_SLOW_SECONDS", 0.0)  # any opening is slow
    monkeypatch.setattr(adapter, "_REST", 1e9)

    @task(app)
    def job() -> str:
        return "done"

    adapter.report_tasks(app, tmp_path / "p.db")
    assert [job.apply(task_id=task_id).get() for task_id in ("a", "b")] == ["done"] * 2
    assert ran(tmp_path / "p.db", "a")[-1][0] == "completed"
    assert ran(tmp_path / "p.db", "b") == []


def test_outside_of_a_reported_task_the_current_run_does_nothing(app: Any, tmp_path: Path) -> None:
    @task(app)
    def job() -> None:
        adapter.current_run().note("nobody reads this")

    adapter.report_tasks(app, tmp_path / "p.db", only="other*")
    adapter.current_run().advance(3)
    assert job.apply().successful()
    assert not (tmp_path / "p.db").exists()


def test_tasks_of_another_application_are_not_reported(app: Any, tmp_path: Path) -> None:
    other = celery.Celery("other", set_as_current=False, broker="memory://")

    @task(other)
    def job() -> None:
        return None

    adapter.report_tasks(app, tmp_path / "p.db")
    assert job.apply().successful()
    assert not (tmp_path / "p.db").exists()


@pytest.mark.parametrize("ledger", ["http://127.0.0.1:1", "folder"])
def test_without_a_ledger_tasks_go_on_and_it_is_spoken_of_now_and_then(
    app: Any, tmp_path: Path, ledger: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "BACKLOG", 3)
    monkeypatch.setattr(background, "EXIT_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()

    @task(app, bind=True)
    def job(self: Any) -> str:
        self.update_state(state="PROGRESS", meta={"current": 1})
        return "done"

    adapter.report_tasks(app, ledger)
    with caplog.at_level(logging.WARNING, "progress_ledger.producer"):
        assert [job.apply().get() for _ in range(9)] == ["done"] * 9
    unreported = [record for record in caplog.records if "goes unreported" in record.message]
    assert len(unreported) == 1
    assert len(adapter._ended) == 3
    stop_all()
    adapter._ended.clear()


def test_a_taken_slot_leaves_the_task_unreported(app: Any, tmp_path: Path) -> None:
    @task(app)
    def inner() -> str:
        return "done"

    @task(app)
    def outer() -> object:
        return inner.apply(task_id="inner").get(disable_sync_subtasks=False)

    adapter.report_tasks(app, tmp_path / "p.db", slot="one at a time")
    assert outer.apply(task_id="outer").get() == "done"
    assert ran(tmp_path / "p.db", "outer")[-1][0] == "completed"
    assert ran(tmp_path / "p.db", "inner") == []


@pytest.mark.parametrize(
    ("option", "error"),
    [({"run_id": "r"}, TypeError), ({"retry_of": "r"}, TypeError), ({"strict": True}, TypeError),
     ({"interval": -1}, ValueError), ({"labels": {"": "x"}}, InvalidRun)],
)  # fmt: skip
def test_wrong_options_are_said_at_once(app: Any, option: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        adapter.report_tasks(app, **option)
