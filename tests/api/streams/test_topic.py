"""Topics: who shares one, what belongs to it, and when it is let go."""

from __future__ import annotations

from progress_ledger.api.streams.reader import Reader
from progress_ledger.api.streams.tail import Entry
from progress_ledger.api.streams.topic import Topic, Topics
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections import RunState

ONE = RunFilter(run_ids=frozenset(("r",)))


def _topics(tail_bytes: int = 1_000_000) -> Topics:
    return Topics(tail_frames=1_000, tail_bytes=tail_bytes)


def _join(topics: Topics, where: RunFilter = ONE, every: float | None = None) -> tuple[Topic, Reader]:
    reader = Reader(alone=False)
    return topics.join(where, "change", every, reader, position=5, now=0.0), reader


def test_the_same_question_shares_a_topic_and_another_has_its_own() -> None:
    topics = _topics()
    first, _ = _join(topics)
    assert _join(topics, RunFilter(run_ids=frozenset(("r",))))[0] is first
    assert _join(topics, RunFilter())[0] is not first
    assert _join(topics, ONE, 1.0)[0] is not first
    assert len(topics) == 3
    assert [every.every for _, every in topics.conflated] == [1.0]
    assert len(first.readers) == 2
    assert first.tail.floor == 5


def test_whoever_comes_or_goes_changes_the_next_crowd_and_not_the_one_that_is_served() -> None:
    topics = _topics()
    topic, first = _join(topics)
    before = topic.crowd
    assert topic.crowd is before
    _, second = _join(topics)
    assert list(topic.crowd) == [first, second]
    topic.leave(first)
    topic.leave(first)
    assert list(topic.crowd) == [second]
    assert list(before) == [first]


def test_a_run_belongs_to_the_topics_whose_filter_matches() -> None:
    topics = _topics()
    one, _ = _join(topics)
    everything, _ = _join(topics, RunFilter())
    kind, _ = _join(topics, RunFilter(kind="k"))
    assert list(topics.of(RunState(run_id="r", kind="k"))) == [one, everything, kind]
    assert list(topics.of(RunState(run_id="other", kind="x"))) == [everything]
    assert (one.run_id, everything.run_id) == ("r", None)


def test_without_topics_nothing_belongs_anywhere() -> None:
    assert list(_topics().of(RunState(run_id="r"))) == []


def test_what_nobody_reads_is_kept_for_a_while_and_then_let_go() -> None:
    topics = _topics()
    topic, reader = _join(topics, ONE, 1.0)
    busy, _ = _join(topics, RunFilter())
    topic.leave(reader)
    topic.idle_since = 100.0
    topics.drop_idle(120.0)
    assert len(topics) == 2
    topics.drop_idle(131.0)
    assert list(topics) == [busy]
    assert topics.conflated == []
    assert list(topics.of(RunState(run_id="r"))) == [busy]


def test_only_so_many_are_kept_for_those_who_come_back_the_latest_first() -> None:
    topics = _topics()
    for number in range(300):
        topic, _ = _join(topics, RunFilter(kind=f"{number}"))
        topic.idle_since = float(number)
    topics.drop_idle(10.0)
    assert len(topics) == 256
    assert {topic.idle_since for topic in topics} == set(map(float, range(44, 300)))


def test_tails_share_the_memory_among_them() -> None:
    topics = _topics(tail_bytes=200_000)
    topic, _ = _join(topics)
    for position in range(6, 206):
        topic.tail.append(Entry(position, "r", b"x" * 900))
    topics.drop_idle(0.0)
    assert topic.tail.floor == 5
    _join(topics, RunFilter())
    topics.drop_idle(0.0)
    assert topic.tail.floor > 5


def test_the_runs_that_ended_since_a_place_are_known() -> None:
    topic, _ = _join(_topics())
    topic.ends.extend([(3, "a"), (5, "b"), (9, "c")])
    assert topic.ended_since(5) == ["b", "c"]
    assert topic.ended_since(10) == []
