"""Other people's forms carry the same facts."""

import csv
import io
import json

import pytest

from progress_ledger.ledger.audit.formats import COLUMNS, cloud_events, csv_rows, write_parquet

BODY = (
    b'{"run_id":"qa-7","version":7,"time":"2026-11-21T23:34:40.123456Z","type":"noted",'
    b'"data":{"message":"a, \\"b\\"\\u00e4"},"event_id":"e-1"}'
)
ROWS = [(1042, BODY), (1043, BODY.replace(b',"event_id":"e-1"', b"").replace(b":7,", b":8,"))]


def test_cloud_events_have_what_the_specification_requires() -> None:
    first, second = (json.loads(line) for line in cloud_events("0123456789abcdef", ROWS).splitlines())
    assert first == {
        "specversion": "1.0",
        "id": "0123456789abcdef-1042",
        "source": "/progress-ledger/0123456789abcdef",
        "type": "progress-ledger.noted",
        "subject": "qa-7",
        "time": "2026-11-21T23:34:40.123456Z",
        "sequence": "000000000007",
        "datacontenttype": "application/json",
        "data": {"message": 'a, "b"ä'},
    }
    assert second["id"] == "0123456789abcdef-1043"


def test_csv_is_read_back_as_it_was() -> None:
    text = csv_rows(ROWS[:1], header=True) + csv_rows(ROWS[1:], header=False)
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["version"] for row in rows] == ["7", "8"]
    assert json.loads(rows[0]["data"]) == {"message": 'a, "b"ä'}
    assert [row["event_id"] for row in rows] == ["e-1", ""]


def test_parquet_is_read_back_as_it_was() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, the parquet extra")
    out = io.BytesIO()
    assert write_parquet([ROWS[:1], ROWS[1:]], out) == 2
    table = parquet.read_table(io.BytesIO(out.getvalue())).to_pydict()
    assert table["position"] == [1042, 1043]
    assert table["event_id"] == ["e-1", None]
