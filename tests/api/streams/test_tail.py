"""The tail: places, pieces, and what falls off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.streams.tail import Entry, Tail


def _tail(*, frames: int = 10, size: int = 1_000_000, floor: int = 0) -> Tail:
    return Tail(floor=floor, max_frames=frames, max_bytes=size)


def _entry(position: int, frame: bytes = b"x", *, final: bool = False) -> Entry:
    return Entry(position, "r", frame, final)


def test_a_new_tail_holds_everything_after_its_floor() -> None:
    tail = _tail(floor=7)
    assert tail.place_after(7) == tail.end == 0
    assert tail.place_after(6) is None


def test_what_fell_off_moves_the_floor() -> None:
    tail = _tail(frames=2)
    for position in (3, 5, 8):
        tail.append(_entry(position))
    assert tail.floor == 3
    assert tail.place_after(2) is None
    assert [entry.position for entry in tail.since(tail.place_after(3) or 0) or ()] == [5, 8]
    assert tail.since(0) is None
    assert tail.piece(0) is None


def test_a_tail_is_bounded_in_bytes_and_keeps_the_newest_frame_however_long() -> None:
    tail = _tail(size=10)
    tail.append(_entry(1, b"12345678"))
    tail.append(_entry(2, b"123456789012345"))
    assert [entry.position for entry in tail.since(1) or ()] == [2]
    assert tail.floor == 1


def test_a_tail_that_is_narrowed_lets_go_at_once() -> None:
    tail = _tail()
    for position in range(1, 6):
        tail.append(_entry(position, b"1234567890"))
    tail.narrow(20)
    assert tail.floor == 3


def test_all_readers_at_a_place_are_given_the_same_bytes() -> None:
    tail = _tail()
    for position in (1, 2, 3):
        tail.append(_entry(position, b"%d" % position))
    piece = tail.piece(1)
    assert piece is not None
    assert (piece.data, piece.after) == (b"23", 3)
    assert tail.piece(1) is piece
    assert piece.chunk == b"2\r\n23\r\n"
    assert piece.chunk is piece.chunk


def test_the_few_pieces_that_a_crowd_goes_through_are_each_made_once() -> None:
    tail = _tail()
    for position in (1, 2, 3):
        tail.append(_entry(position, b"x" * 60_000))

    def way() -> list[int]:
        made: list[int] = []
        place = 0
        while (piece := tail.piece(place)) is not None and piece.data:
            made.append(id(piece))
            place = piece.after
        return made

    first = way()
    assert len(first) == 3
    assert way() == first
    tail.append(_entry(4, b"x"))
    longer = tail.piece(2)
    assert longer is not None
    assert len(longer.data) == 60_001


def test_a_piece_ends_before_64_kib_unless_one_frame_alone_is_longer() -> None:
    tail = _tail()
    for position, size in ((1, 40_000), (2, 40_000), (3, 100_000)):
        tail.append(_entry(position, b"x" * size))
    sizes: list[int] = []
    place = 0
    while (piece := tail.piece(place)) is not None and piece.data:
        sizes.append(len(piece.data))
        place = piece.after
    assert sizes == [40_000, 40_000, 100_000]
    assert place == tail.end


def test_a_lost_tail_has_left_everybody_behind() -> None:
    tail = _tail()
    tail.append(_entry(1))
    place = tail.end
    tail.lose(2)
    assert tail.piece(place) is None
    assert tail.place_after(1) is None
    assert tail.place_after(2) == tail.end
    tail.append(_entry(3))
    assert [entry.position for entry in tail.since(tail.end - 1) or ()] == [3]


def test_the_newest_frame_says_whether_the_run_is_over() -> None:
    tail = _tail()
    assert not tail.final
    tail.append(_entry(1, final=True))
    assert tail.final


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=60),
    st.integers(1, 8),
    st.integers(1, 200),
    st.integers(0, 100),
)
def test_from_any_position_the_tail_gives_every_later_event_or_says_that_it_cannot(
    steps: list[tuple[int, int]], frames: int, size: int, position: int
) -> None:
    tail = _tail(frames=frames, size=size)
    appended: list[Entry] = []
    at = 0
    for step, length in steps:
        at += step
        entry = _entry(at, bytes([65 + len(appended) % 26]) * length)
        appended.append(entry)
        tail.append(entry)
    place = tail.place_after(position)
    if place is None:
        assert any(entry.position > position for entry in appended)
        return
    wanted = [entry for entry in appended if entry.position > position]
    assert tail.since(place) == wanted
    joined = b""
    while (piece := tail.piece(place)) is not None and piece.data:
        joined += piece.data
        place = piece.after
    assert joined == b"".join(entry.frame for entry in wanted)
