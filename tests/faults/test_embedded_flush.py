"""Seen from outside, by strace: every write is flushed to disk before it is acknowledged."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.faults.writing import Order, start

WRITES = 8


def test_the_log_is_flushed_between_each_write_and_its_acknowledgement(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        assert os.environ.get("CI") != "true", "CI must have strace: apt-get install strace"
        pytest.skip("strace is missing: install it to see that writes are flushed before they are acknowledged")
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    command = ("strace", "-f", "-y", "-s", "4096", "-e", calls, "-o", str(trace))
    process = start(Order(str(tmp_path / "data"), 1, batches=WRITES), *command)
    _, complaint = process.communicate()
    assert process.returncode == 0, complaint.decode()
    flushed = [is_flushed(calls_between) for calls_between in between_lines(trace.read_text())]
    assert flushed == [True] * WRITES


def between_lines(trace: str) -> list[list[str]]:
    """Return, for each write, the calls between the line that announces it and the one that acknowledges it."""
    stretches: list[list[str]] = []
    stretch: list[str] = []
    for call in trace.splitlines():
        if re.search(r" write\(1<", call) and "is_acknowledged" in call:
            if '\\"is_acknowledged\\":true' in call:
                stretches.append(stretch)
            stretch = []
        else:
            stretch.append(call)
    return stretches


def is_flushed(calls: list[str]) -> bool:
    """Tell whether the write-ahead log of the documents was flushed after the last time it was written to."""
    log = re.compile(r" (pwrite64|fsync|fdatasync)\(\d+<[^>]*/documents\.sqlite-wal>")
    touched = [match[1] for call in calls if (match := log.search(call))]
    return "pwrite64" in touched and touched[-1] in ("fsync", "fdatasync")
