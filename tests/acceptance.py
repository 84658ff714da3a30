"""Writes docs/reference/acceptance.md: what the project was made to do, row by row, and what proves it.

    python -m tests.acceptance          run what proves the rows, and write the page
    python -m tests.acceptance --check  only say whether the page still names the tests that there are

A test names the rows it proves with ``@pytest.mark.acceptance("A3")``; tests that prove a row without having
been written for it are named in ``ELSEWHERE``. Which is which is read from the source, so that a row whose
test was renamed or removed is found out.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests import tree

PAGE = tree.ROOT / "docs" / "reference" / "acceptance.md"

SYSTEMS = {
    "A": "Bulk QA: one run at a time, outcomes, interrupted at restart",
    "B": "Multipart upload: progress by callback, many asked about at once",
    "C": "Chunked backfill of a database in use",
    "D": "Batch in stages over a stream",
    "E": "Many scopes at once, estimates, stalls, a page to watch",
}

ROWS = {
    "A3": "a submit is answered with a snapshot at once",
    "A4": "run ids sort by time, or are the caller's",
    "A5": "all of a run can be read from its snapshot",
    "A6": "only allowed transitions happen",
    "A7": "no work is a run that completes at once",
    "A8": "the total stands from the start",
    "A9": "outcomes add up to what is done, at every moment",
    "A10": "outcomes are told apart, from this run alone",
    "A11": "failed items do not fail a run",
    "A12": "one active run to a slot, also between processes",
    "A13": "a slot is free after the end",
    "A14": "the current run, or none",
    "A15": "one run, or not found",
    "A16": "an unknown run is refused before a stream begins",
    "A17": "a stream ends after its terminal frame",
    "A18": "the headers of a stream",
    "A19": "ticks are throttled, the first and the last are not",
    "A20": "a frame is named for its event",
    "A21": "a silent stream is kept alive",
    "A22": "a slow client costs bounded memory and gets the end",
    "A23": "a client that goes away is noticed",
    "A24": "runs of a dead process are interrupted at start, a living one's are not",
    "A25": "interrupted is not failed",
    "A26": "the log is the fact",
    "A27": "a client comes back where it was",
    "A28": "no long-lived token in an address",
    "A29": "a job does not hang on the one who asked for it",
    "A30": "a late tick changes nothing",
    "A31": "the first end stands",
    "A32": "a tick that failed to be written is not lost",
    "A35": "a panel finds, folds and keeps the run",
    "A36": "log lines say what happened",
    "A37": "finished runs can be pruned",
    "B1": "an absolute callback, after each part",
    "B2": "a part that fails does not advance",
    "B3": "a part sent again counts once",
    "B5": "disabled costs nothing",
    "B6": "done is a snapshot, never negative",
    "B7": "the log keeps the progress of ended runs",
    "B8": "percent is the server's, and at most 100",
    "B9": "unknown is null",
    "B10": "an unknown run is 404",
    "B11": "the fields of a snapshot are all there",
    "B12": "a batch in request order, once each, the missing named",
    "B13": "ids that cannot be are refused",
    "B15": "progress survives a restart",
    "B16": "other processes see it",
    "B17": "ticks do not flood the disk",
    "B18": "a failed run shows its error",
    "B19": "a small file jumps to done",
    "B20": "rows are patched in place",
    "B21": "a page that cannot read fails the display, not the run",
    "C1": "bounded chunks",
    "C2": "a tick for each chunk",
    "C3": "bounded by the last key at the start",
    "C4": "it ends on rows it cannot mend",
    "C5": "errors before the loop are errors",
    "C6": "errors in the loop go to the caller",
    "C7": "a stop is heard between chunks",
    "C8": "wrong parameters are refused",
    "C9": "a chunk costs the same at the end as at the start",
    "C10": "one end, with the final counts",
    "C11": "trouble with progress does not reach the job",
    "C12": "ticks are throttled",
    "C13": "a lost end is an error that is told",
    "C14": "a job that runs once",
    "C15": "a retry is a run of its own",
    "C17": "rate and ETA of every job",
    "C18": "a word nobody knows is not running",
    "C19": "null is unknown, 0 is nothing left",
    "C20": "empty is a list, an error is an error",
    "C21": "the health page fails closed",
    "C22": "reads of many share one look",
    "C23": "a failed job is seen, and can be dismissed",
    "C24": "a banner while it runs",
    "C25": "a time that cannot be read is refused",
    "C26": "others go on reading and writing",
    "C27": "the total is what will be touched",
    "C28": "a job that is cut off is interrupted",
    "D1": "who may see what",
    "D2": "an event says what happened in which stage",
    "D3": "declared stages",
    "D4": "a stage goes from nothing to all",
    "D5": "the overall percent never goes down",
    "D6": "a stream ends with its run",
    "D7": "each event once, whenever one joins",
    "D8": "a late joiner's stream ends too",
    "D9": "a silent run is not lost",
    "D10": "many watch one run",
    "D11": "no frame is empty",
    "D12": "a failed run keeps its stage and percent",
    "D13": "trouble with progress does not break the batch",
    "D14": "with and without an event loop",
    "D15": "two servers stream one run",
    "D16": "silent instrumentation is found",
    "D17": "a total that is known later",
    "D18": "no division by nothing",
    "D19": "polling works as well",
    "D20": "a client stops on 401 and says so",
    "D21": "a run can be looked at from a shell",
    "D22": "reconnecting under load",
    "D23": "other kinds of job stream alike",
    "E1": "many scopes at once",
    "E2": "a run is there at once",
    "E3": "a negative tick counts nothing",
    "E4": "an estimate blocks nothing",
    "E5": "a rate over recent work",
    "E6": "nothing left is an ETA of 0",
    "E7": "percent is at most 100",
    "E8": "phases are stages",
    "E9": "a fault of the ledger fails no job",
    "E10": "the first end stands, its error is cut",
    "E11": "a rerun does not inherit a start",
    "E12": "a list with filters, counts and pages",
    "E13": "a row says all",
    "E14": "a stalled run is seen",
    "E15": "ETAs are judged on real courses",
    "E16": "stalled is taken out of running",
    "E17": "an unknown total is shown as such",
    "E18": "numbers as people write them",
    "E19": "a stalled row stands out",
    "E20": "every state of the page reads right",
    "E21": "the contract is published",
    "E22": "retention",
    "E23": "a label narrows everything",
    "E24": "more than expected is said",
    "E25": "a run is made when it is first seen",
}

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "A9": ("test_done_is_the_sum_of_its_outcomes_at_every_moment",),
    "A14": ("test_the_current_run_is_the_newest_active_one",),
    "A15": ("test_an_unknown_run_is_not_found_whatever_its_id_looks_like",),
    "A16": ("test_an_unknown_run_is_404_json_before_any_byte_of_a_stream",),
    "A17": ("test_a_run_that_is_over_answers_snapshot_terminal_frame_and_end",),
    "A18": ("test_the_head_says_event_stream_and_forbids_storing_and_buffering",),
    "A20": ("test_a_stream_opens_with_hello_then_the_snapshot_then_each_event",),
    "A21": ("test_silence_is_broken_by_single_colon_lines",),
    "A22": ("test_who_falls_behind_is_told_gets_a_snapshot_and_goes_on",
            "test_a_slow_reader_still_gets_the_terminal_frame_of_a_run_that_left_memory"),
    "A23": ("test_a_reader_that_goes_away_in_silence_is_noticed_and_nothing_is_kept_of_it",),
    "A27": ("test_a_foreign_client_is_cut_off_and_comes_back_with_no_gap_and_no_repeat",),
    "A28": ("test_the_page_logs_in_with_a_cookie_that_no_script_reads",),
    "A35": ("test_a_panel_finds_the_current_run_folds_and_stays_until_dismissed",),
    "A36": ("test_json_has_one_object_a_line_with_the_facts",),
    "A37": ("test_a_pruned_run_is_gone_and_its_id_stays_taken",),
    "B6": ("test_a_lower_done_is_folded_as_the_higher_and_so_are_its_counts",),
    "B8": ("test_percent_stops_at_100_when_done_passes_the_total",
           "test_percent_is_rounded_to_a_tenth_and_says_100_only_of_all"),
    "B9": ("test_unknown_is_null_and_nothing_is_left_out",),
    "B11": ("test_a_snapshot_has_these_fields_and_all_of_them_always",),
    "B16": ("test_what_another_process_committed_is_seen_by_the_next_read",),
    "B20": ("test_rows_are_patched_in_place_and_do_not_move_under_the_pointer",),
    "B21": ("test_a_server_that_goes_away_fails_the_display_and_never_the_run",),
    "C17": ("test_a_snapshot_has_these_fields_and_all_of_them_always",),
    "C18": ("test_an_event_type_of_a_newer_release_only_moves_the_version",),
    "C20": ("test_a_list_that_cannot_be_read_says_so_and_comes_back",),
    "C21": ("test_an_unreadable_log_is_degraded_and_gated",),
    "C22": ("test_callers_at_one_time_share_one_look_that_began_after_they_came",),
    "C23": ("test_a_failed_run_stays_in_the_banner_with_its_error_for_ten_minutes_or_until_dismissed",),
    "C24": ("test_a_banner_shows_while_it_runs_and_goes_when_it_is_done",),
    "C25": ("test_bad_input_gets_its_code_stores_nothing_and_the_next_request_works",),
    "D1": ("test_a_run_of_another_kind_is_nowhere_for_its_reader",),
    "D9": ("test_a_run_that_ended_while_its_reader_was_away_is_resumed_to_its_end",),
    "D11": ("test_silence_is_broken_by_single_colon_lines",),
    "D15": ("test_commits_of_another_process_reach_the_stream",),
    "D16": ("test_runs_are_looked_at_one_by_one",),
    "D19": ("test_a_snapshot_has_a_tag_that_changes_with_version_and_stalled_only",),
    "D20": ("test_the_javascript_passes_its_own_tests",),
    "D21": ("test_a_run_is_shown_as_it_is_and_as_it_was", "test_events_are_printed_as_they_are_stored"),
    "D22": ("test_a_stream_opened_in_the_middle_of_a_flood_misses_and_repeats_nothing",),
    "E2": ("test_a_run_is_created_and_its_address_given",),
    "E3": ("test_wrong_numbers_count_nothing_and_are_counted",),
    "E5": ("test_a_rate_is_work_over_time",),
    "E6": ("test_the_number_is_zero_when_all_is_done",),
    "E12": ("test_pages_neither_skip_nor_repeat_while_runs_come_and_go",),
    "E13": ("test_a_snapshot_has_these_fields_and_all_of_them_always",),
    "E15": ("test_a_trace_sixty_times_slower_gets_the_same_answers",),
    "E16": ("test_a_stalled_run_counts_as_stalled_and_not_as_running",),
    "E18": ("test_the_javascript_passes_its_own_tests",),
    "E19": ("test_each_state_reads_right_in_its_row",),
    "E20": ("test_each_state_reads_right_in_its_row", "test_axe_finds_nothing_wrong"),
    "E21": ("test_every_route_is_described_and_every_description_has_a_route",),
    "E22": ("test_a_pruned_run_is_gone_and_its_id_stays_taken",),
}  # fmt: skip


def _marked(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for node in tree.parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if (
                    isinstance(decorator, ast.Call)
                    and ast.unparse(decorator.func) == "pytest.mark.acceptance"
                ):
                    for argument in decorator.args:
                        assert isinstance(argument, ast.Constant)
                        found[str(argument.value)].append(node.name)
    return found


def proofs() -> dict[str, list[str]]:
    """The tests that prove each row, as pytest names them."""
    where: dict[str, str] = {}
    found: dict[str, list[str]] = {row: [] for row in ROWS}
    for path in sorted((tree.ROOT / "tests").rglob("test_*.py")):
        for node in tree.parse(path).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where.setdefault(node.name, f"{tree.name(path)}::{node.name}")
        for row, marked in _marked(path).items():
            found.setdefault(row, []).extend(f"{tree.name(path)}::{name}" for name in marked)
    for row, names in ELSEWHERE.items():
        found[row] += [where.get(name, f"MISSING::{name}") for name in names]
    return found


def wrong() -> list[str]:
    """What is not as it should be: rows that nobody knows, tests that are not there, rows without a word."""
    found = proofs()
    return [
        *(f"{row}: there is no such row" for row in found if row not in ROWS),
        *(
            f"{row}: {test} is not there"
            for row, tests in found.items()
            for test in tests
            if "MISSING" in test
        ),
    ]


def page(outcomes: dict[str, str] | None = None) -> str:
    """The page. ``outcomes`` by test; without them the column says nothing new."""
    found = proofs()
    open_rows = [row for row in ROWS if not found[row]]
    lines = [
        "# Acceptance: five systems, row by row",
        "",
        "*Reference. Written by `python -m tests.acceptance`; do not edit.*",
        "",
        "Five programs that report progress in five ways are what this project has to replace. Each row is "
        "one thing they do or should have done, and the test that proves it here.",
        "",
        f"Proven: {sum(bool(tests) for tests in found.values())} of {len(ROWS)}; not proven by a test of its "
        f"own: {len(open_rows)}.",
    ]
    for letter, title in SYSTEMS.items():
        lines += ["", f"## {letter}. {title}", "", "| id | what | proven by | result |", "|---|---|---|---|"]
        for row, what in ROWS.items():
            if row[0] != letter:
                continue
            tests = found[row]
            shown = "<br>".join(f"`{test}`" for test in tests) or "no test of its own yet"
            lines.append(f"| {row} | {what} | {shown} | {_result(row, tests, outcomes)} |")
    return "\n".join(lines) + "\n"


def _result(row: str, tests: list[str], outcomes: dict[str, str] | None) -> str:
    if not tests:
        return "open"
    if outcomes is None:
        return "pass"
    results = {outcomes.get(test, "not run") for test in tests}
    return next((each for each in ("fail", "not run", "skipped") if each in results), "pass")


class _Outcomes:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = re.sub(r"\[.*\]$", "", report.nodeid)
        if report.failed:
            self.found[test] = "fail"
        elif report.skipped:
            self.found.setdefault(test, "skipped")
        elif report.when == "call" and self.found.get(test) != "fail":
            self.found[test] = "pass"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    mistakes = wrong()
    if mistakes:
        print("\n".join(mistakes), file=sys.stderr)
        return 1
    if arguments.check:
        return 0 if same_tests() else 1
    outcomes = _Outcomes()
    tests = sorted({test for found in proofs().values() for test in found})
    pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[outcomes])
    PAGE.write_text(page(outcomes.found), encoding="utf-8")
    return 0 if all(result != "fail" for result in outcomes.found.values()) else 1


def same_tests() -> bool:
    """Whether the page names the rows and tests that there are, whatever their results were."""
    if not PAGE.is_file():
        return False

    def bare(text: str) -> list[str]:
        return [re.sub(r"\| [^|]* \|$", "|", line) for line in text.splitlines()]

    return bare(PAGE.read_text(encoding="utf-8")) == bare(page())


if __name__ == "__main__":
    sys.exit(main())
