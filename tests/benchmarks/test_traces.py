from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks import Refused, traces


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "trace.txt"
    path.write_bytes(content)
    return path


def test_keys_of_a_plain_trace(tmp_path: Path) -> None:
    trace = traces.read(written(tmp_path, b"3\n-1\n3\n9223372036854775807"))
    assert list(trace.keys) == [3, -1, 3, 2**63 - 1]
    assert trace.sizes is None
    assert len(trace) == 4
    assert trace.unique() == 3
    assert trace.name == "trace.txt"


def test_gzip_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    trace = traces.read(written(tmp_path, gzip.compress(b"1\n2\n")))
    assert list(trace.keys) == [1, 2]


def test_sizes(tmp_path: Path) -> None:
    trace = traces.read(written(tmp_path, b"1 512\n2\t0\n1 70000\n"))
    assert list(trace.keys) == [1, 2, 1]
    assert trace.sizes is not None
    assert list(trace.sizes) == [512, 0, 70000]
    assert trace.largest(200) == 70000


def test_the_default_size_is_the_largest_without_sizes(tmp_path: Path) -> None:
    assert traces.read(written(tmp_path, b"1\n")).largest(200) == 200


def test_limit_reads_no_further(tmp_path: Path) -> None:
    path = written(tmp_path, b"1 10\n2 20\nthis is not reached\n")
    trace = traces.read(path, limit=2)
    assert list(trace.keys) == [1, 2]


def test_first_requests(tmp_path: Path) -> None:
    trace = traces.read(written(tmp_path, b"1 10\n2 20\n3 30\n")).first(2)
    assert list(trace.keys) == [1, 2]
    assert trace.sizes is not None
    assert list(trace.sizes) == [10, 20]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"1\n2\nx\n4\n", "line 3: 'x' is not an integer key, as in line 1"),
        (b"1\n\n3\n", "line 2: '' is not an integer key, as in line 1"),
        (b"1 5\n2\n", "line 2: '2' is not an integer key and a size in bytes, as in line 1"),
        (b"1\n2 5\n", "line 2: '2 5' is not an integer key, as in line 1"),
        (b"1 5\n2 -5\n", "line 2: '2 -5' is not an integer key and a size in bytes"),
        (b"1 2 3\n", "line 1: '1 2 3' is not an integer key, and optionally a size in bytes"),
        (b"9223372036854775808\n", "line 1: '9223372036854775808' is not"),
        (b"\xff\xfe\n", r"line 1: '\\xff\\xfe' is not"),
    ],
)
def test_a_line_that_is_no_request(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(Refused) as caught:
        traces.read(path)
    assert str(caught.value).startswith(f"{path}, {complaint}")


def test_a_trace_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    with pytest.raises(Refused) as caught:
        traces.read(path)
    assert str(caught.value) == f"cannot read the trace {path}: No such file or directory"


def test_an_empty_trace(tmp_path: Path) -> None:
    path = written(tmp_path, b"")
    with pytest.raises(Refused, match="is empty"):
        traces.read(path)


def test_a_gzip_file_that_breaks_off(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"1\n2\n")[:-8])
    with pytest.raises(Refused, match="cannot read the trace") as caught:
        traces.read(path)
    assert "end-of-stream" in str(caught.value)
