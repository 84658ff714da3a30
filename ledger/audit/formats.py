"""Events in other people's forms: CloudEvents 1.0, CSV, Parquet. For reading on, not for proving.

What is proven is the stored form (:mod:`.bundle`); these carry the same facts in columns or envelopes.
"""

import csv
import importlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from ..errors import LedgerError

__all__ = ("COLUMNS", "ParquetExtraMissing", "cloud_events", "csv_rows", "write_parquet")

COLUMNS = ("position", "run_id", "version", "time", "type", "data", "event_id")
"""The columns of CSV and Parquet; ``data`` is JSON text."""

_Rows = Sequence[tuple[int, bytes]]


class ParquetExtraMissing(LedgerError):
    """Parquet needs the ``parquet`` extra, which is not installed."""

    code = "parquet_extra_missing"

    def __init__(self) -> None:
        super().__init__("Parquet needs pyarrow; install it with: pip install 'progress-ledger[parquet]'")


class _Event(msgspec.Struct):
    run_id: str
    version: int
    time: str
    type: str
    data: msgspec.Raw
    event_id: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode


def cloud_events(epoch: str, rows: _Rows) -> bytes:
    """A page as CloudEvents, one JSON object a line.

    ``id`` is ``epoch-position``, as in streams; ``subject`` the run; ``sequence`` the version, in twelve
    digits so that it sorts as text.
    """
    lines: list[bytes] = []
    for position, body in rows:
        event = _decode(body)
        lines.append(
            _encode(
                {
                    "specversion": "1.0",
                    "id": f"{epoch}-{position}",
                    "source": f"/progress-ledger/{epoch}",
                    "type": f"progress-ledger.{event.type}",
                    "subject": event.run_id,
                    "time": event.time,
                    "sequence": f"{event.version:012}",
                    "datacontenttype": "application/json",
                    "data": event.data,
                }
            )
        )
    return b"".join(line + b"\n" for line in lines)


def _cells(position: int, body: bytes) -> tuple[int, str, int, str, str, str, str | None]:
    event = _decode(body)
    data = bytes(event.data).decode("ascii")
    return position, event.run_id, event.version, event.time, event.type, data, event.event_id


def csv_rows(rows: _Rows, *, header: bool) -> bytes:
    """A page as CSV (RFC 4180), with the column names in front when ``header``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(COLUMNS)
    for position, body in rows:
        writer.writerow(["" if cell is None else cell for cell in _cells(position, body)])
    return text.getvalue().encode()


def write_parquet(pages: Iterable[_Rows], out: BinaryIO) -> int:
    """All pages as one Parquet file, a row group a page or more; the number of events comes back.

    Raises ParquetExtraMissing.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ParquetExtraMissing from None
    numbers = ("position", "version")
    schema = arrow.schema([(name, arrow.int64() if name in numbers else arrow.string()) for name in COLUMNS])
    count = 0
    with parquet.ParquetWriter(out, schema) as writer:
        for rows in _gathered(pages, 32_768):
            cells = [_cells(position, body) for position, body in rows]
            columns = [
                arrow.array(column, type_)
                for column, type_ in zip(zip(*cells, strict=True), schema.types, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            count += len(cells)
    return count


def _gathered(pages: Iterable[_Rows], least: int) -> Iterator[list[tuple[int, bytes]]]:
    waiting: list[tuple[int, bytes]] = []
    for page in pages:
        waiting.extend(page)
        if len(waiting) >= least:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
