"""Tidy tables keep types and values, whatever stands in them."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys

import pytest
from pyarrow import parquet

from qrt_runner.tracking.tables import as_json, parquet_of

ROWS = [
    {"point": 0, "task": "2026-01-01", "theta": 0.1, "observable": "1", "ev": 0.12345678901234567, "shots": 7},
    {"point": 1, "task": "main", "theta": 3, "observable": "é'\"", "ev": -1.0, "mode": "raw"},
]


def read(rows):
    """Write rows as Parquet and read them back."""
    return parquet.read_table(io.BytesIO(parquet_of(rows)))


def test_a_table_comes_back_as_it_was():
    """Values to the last digit, words that look like dates or numbers as words, and nothing where a row has none."""
    table = read(ROWS)
    assert [str(field.type) for field in table.schema] == [
        "int64",
        "string",
        "double",
        "string",
        "double",
        "int64",
        "string",
    ]
    names = ("point", "task", "theta", "observable", "ev", "shots", "mode")
    assert table.to_pylist() == [{name: row.get(name) for name in names} for row in ROWS]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, "a"], ["1", "a"]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([True, None], [True, None]),
        ([True, 1], ["True", "1"]),
        ([None], [None]),
        ([math.inf, 1.0], [math.inf, 1.0]),
        ([2**40], [2**40]),
    ],
)
def test_a_column_has_one_type(values, kept):
    """Words and numbers become words, whole and other numbers numbers, and infinity stays what it is."""
    assert read([{"a": value} for value in values])["a"].to_pylist() == kept


def test_a_table_may_be_empty():
    """A failed task has no rows."""
    assert read([]).num_rows == 0


def test_a_table_needs_no_pandas():
    """Its import would take longer than all else that is done with a single result."""
    script = f"import sys\nfrom qrt_runner.tracking.tables import parquet_of\nparquet_of({ROWS!r})\n"
    script += "sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_json_has_a_line_for_each_row():
    """What JSON has no number for is text."""
    text = as_json({"rows": [{"a": 1.5}, {"a": math.inf}], "none": None, 3: [1, math.nan]}).decode()
    assert text == '{\n "rows": [\n  {"a": 1.5},\n  {"a": "inf"}\n ],\n "none": null,\n "3": [1, "nan"]\n}\n'
    assert json.loads(text)["rows"][1] == {"a": "inf"}
