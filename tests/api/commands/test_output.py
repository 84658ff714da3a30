"""What is read from programs' output: lines as the programs print them."""

from __future__ import annotations

import re

import pytest

from progress_ledger.api.commands.output import MAX_LINE, OutputReader, Reading


def readings(text: str, match: str | None = None) -> list[Reading]:
    reader = OutputReader(re.compile(match) if match else None)
    found = [reader.feed(line.encode()) for line in text.splitlines(keepends=True)]
    return [each for each in [*found, reader.close()] if each is not None]


NINJA = "[1/3] CXX a.o\n[2/3] CXX b.o\n[3/3] LINK app\n"
PYTEST = (
    "collected 40 items\n\ntests/test_a.py ....................  [ 50%]\n"
    "tests/test_b.py ....................  [100%]\n\n40 passed in 0.12s\n"
)
PIP = (
    "Downloading numpy-2.0.0-cp311-manylinux.whl (19.3 MB)\n"
    "   \x1b[38;2;114;156;31m━━━━\x1b[0m 4.8/19.3 MB \x1b[31m48.0 MB/s\x1b[0m eta \x1b[36m0:00:01\x1b[0m\r"
    "   ━━━━━━━━━━━━━━━━ 19.3/19.3 MB 50.1 MB/s eta 0:00:00\r\n"
)
RSYNC_ALL = (
    "         32,768   3%    0.00kB/s    0:00:00\r"
    "        655,360  62%    1.25MB/s    0:00:00 (xfr#5, to-chk=4/10)\r"
    "      1,048,576 100%    2.00MB/s    0:00:00 (xfr#9, to-chk=0/10)\n"
)
FFMPEG = (
    "  Duration: 00:01:40.00, start: 0.000000, bitrate: 1205 kb/s\n"
    "frame=  100 fps= 50 q=28.0 size=     256kB time=00:00:25.00 bitrate=  83.9kbits/s speed=2x\r"
    "frame=  400 fps= 50 q=28.0 size=    1024kB time=00:01:40.00 bitrate=  83.9kbits/s speed=2x\r\n"
)


def test_ninja_counts_its_edges() -> None:
    assert readings(NINJA) == [Reading(1, 3), Reading(2, 3), Reading(3, 3)]


def test_pytest_says_percent() -> None:
    assert readings(PYTEST) == [Reading(50, 100), Reading(100, 100)]


def test_pip_says_megabytes_in_colour() -> None:
    assert readings(PIP)[-1] == Reading(19_300_000, 19_300_000)
    assert Reading(4_800_000, 19_300_000) in readings(PIP.replace("\r", "\n"))


def test_rsync_prefers_the_files_left_to_check() -> None:
    found = readings(RSYNC_ALL.replace("\r", "\n") + "x (xfr#10, to-chk=0/11)\n")
    assert found[0] == Reading(3, 100)
    assert found[-1] == Reading(11, 11)


def test_ffmpeg_is_read_by_its_time_beside_the_duration() -> None:
    assert readings(FFMPEG.replace("\r", "\n")) == [Reading(25_000, 100_000), Reading(100_000, 100_000)]


@pytest.mark.parametrize(
    "text",
    ["on 2024/11/02 at 9:30", "see a/b and /usr/1/2", "ratio 3/2", "version 1.2/3.4", "150% of it", "50%off"],
)
def test_what_only_looks_like_progress_is_none(text: str) -> None:
    assert readings(text + "\n") == []


def test_n_of_m_in_words_counts() -> None:
    assert readings("step 3 of 7 done\n") == [Reading(3, 7)]


def test_a_stray_percent_does_not_move_a_bar_that_counts() -> None:
    assert readings("[1/9] a\nloss 80%\n[2/9] b\n") == [Reading(1, 9), Reading(2, 9)]


def test_a_stray_count_does_not_take_over_from_percents() -> None:
    assert readings("10%\nretry 1/2\n20%\n") == [Reading(10, 100), Reading(20, 100)]


def test_going_down_is_beginning_again() -> None:
    assert readings("[2/3]\n[1/5]\n")[-1] == Reading(1, 5, again=True)


def test_an_expression_of_the_callers_goes_by_its_named_groups() -> None:
    match = r"(?P<total>\d+) all, (?P<done>[\d,]+) done"
    assert readings("5000 all, 1,200 done\nnothing\n", match) == [Reading(1200, 5000)]


def test_an_expression_without_groups_counts_its_lines() -> None:
    assert readings("ok 1\nnot\nok 2\n", "^ok") == [Reading(1, None), Reading(2, None)]


def test_a_number_without_end_is_none() -> None:
    assert readings("inf\n1e999\nnan\n7\n", r"(\S+)") == [Reading(7, None)]


def test_pieces_may_be_cut_anywhere() -> None:
    reader = OutputReader()
    found = [reader.feed(bytes([byte])) for byte in NINJA.encode()]
    assert [each for each in found if each] == [Reading(1, 3), Reading(2, 3), Reading(3, 3)]
    assert reader.lines == 3


def test_a_line_without_end_costs_bounded_memory() -> None:
    reader = OutputReader()
    for _ in range(100):
        reader.feed(b"x" * 10_000)
    assert len(reader._rest) <= MAX_LINE
    assert reader.feed(b" [1/2]\n") == Reading(1, 2)
