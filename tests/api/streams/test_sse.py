"""Frames as bytes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.streams import sse
from progress_ledger.ledger.codec import ascii_json, wire_form
from tests.api.streaming import parse


def test_a_frame_is_event_then_data_then_id() -> None:
    whole = sse.frame("ticked", b'{"a":1}', id=b"e-1")
    assert whole == b'event: ticked\ndata: {"a":1}\nid: e-1\n\n'


def test_an_event_and_its_run_make_one_frame() -> None:
    body, run = b'{"run_id":"r","version":2}', b'{"done":3}'
    for final, end in ((False, b"}"), (True, b',"final":true}')):
        made = sse.event_frame(b"ticked", body, run, position=7, epoch=b"e", final=final)
        data = b'{"event":%b,"run":%b%b' % (wire_form(7, body), run, end)
        assert made == sse.frame("ticked", data, id=sse.event_id("e", 7))


def test_an_id_is_put_on_and_taken_off_without_a_trace() -> None:
    bare = sse.frame("snapshot", b'{"text":"\\nid: x"}')
    assert sse.with_id(bare, b"e-1") == sse.frame("snapshot", b'{"text":"\\nid: x"}', id=b"e-1")
    assert sse.without_id(sse.with_id(bare, b"e-1")) == bare
    assert sse.without_id(bare) == bare


def test_an_id_needs_no_cors_preflight() -> None:
    found = sse.event_id("0123456789abcdef", 2**63 - 1)
    assert len(found) <= 128
    assert not set(found.decode()) & set('"():<>?@[\\]{}')


def test_a_keep_alive_is_one_line_and_no_frame() -> None:
    assert sse.KEEP_ALIVE == b":\n"


def test_hello_busy_and_drain_say_when_to_come_back_and_carry_no_id() -> None:
    greeting = sse.hello(status="reset", reason="epoch", epoch="e", head=3, retry_ms=1500)
    frames, _, rest = parse(greeting + sse.busy(reason="not_ready", retry_ms=2) + sse.drain(retry_ms=3))
    assert rest == b""
    assert [(frame.event, frame.retry, frame.id) for frame in frames] == [
        ("hello", 1500, None),
        ("busy", 2, None),
        ("drain", 3, None),
    ]
    assert frames[0].data == {"status": "reset", "reason": "epoch", "epoch": "e", "head": 3}


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_fits_on_one_line_of_ascii(text: str) -> None:
    whole = sse.frame("noted", ascii_json({"text": text}), id=b"e-1")
    assert whole.isascii()
    assert whole.count(b"\n") == 4
    assert b"\r" not in whole
    assert json.loads(whole.split(b"\n")[1].removeprefix(b"data: ")) == {"text": text}
