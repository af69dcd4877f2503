import json
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from isthmus.management.audit import FILE_NAME, KEPT_FILES, MAX_CHANGES, AuditFile, NoTrail, entry, record
from isthmus.management.callers import Caller

ROOT = Caller(face="control socket", uid=0, gid=0, pid=7)


def test_an_entry_says_who_did_what_and_when() -> None:
    """In the order in which one reads it."""
    made = entry("configuration changed", ROOT, ["+ a", "+ b"], revision=3)
    assert list(made) == ["time", "action", "who", "uid", "gid", "pid", "revision", "count", "changes"]
    assert (made["uid"], made["count"], made["changes"]) == (0, 2, ["+ a", "+ b"])
    assert made["time"].endswith("+00:00")


def test_an_entry_is_bounded() -> None:
    """The rest of a large change is counted."""
    made = entry("configuration changed", ROOT, range(MAX_CHANGES + 5))
    assert (made["count"], len(made["changes"])) == (MAX_CHANGES + 5, MAX_CHANGES)


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    """The newest last; the file is its owner's alone, whatever the umask says."""
    before = os.umask(0)
    try:
        trail = AuditFile(tmp_path / "state")
        for number in range(5):
            trail.record({"number": number})
    finally:
        os.umask(before)
    assert trail.newest(2) == [{"number": 3}, {"number": 4}]
    assert len(trail.newest(100)) == 5
    assert trail.newest(0) == []
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600


def test_a_long_file_gets_another_name_and_the_oldest_go(tmp_path: Path) -> None:
    """What is kept is bounded, and read across the files."""
    trail = AuditFile(tmp_path, max_bytes=100)
    for number in range(100):
        trail.record({"number": number, "text": "x" * 20})
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE_NAME, *(f"{FILE_NAME}.{number}" for number in range(1, KEPT_FILES + 1))]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    found = [one["number"] for one in trail.newest(1000)]
    assert found == list(range(100 - len(found), 100))


def test_a_line_that_was_cut_short_costs_only_itself(tmp_path: Path) -> None:
    """A crash amid a line does not swallow the next."""
    (tmp_path / FILE_NAME).write_text('{"number": 1}\n{"num')
    trail = AuditFile(tmp_path)
    trail.record({"number": 2})
    assert trail.newest(10) == [{"number": 1}, {"number": 2}]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The trail goes nowhere else."""
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        AuditFile(tmp_path).record({})
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_durable_before_it_counts(tmp_path: Path) -> None:
    """What cannot be made durable is an error."""

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    with capture_logs() as logs:
        assert record(AuditFile(tmp_path, sync=fails), {"a": 1}) == [
            "the audit trail cannot be written: [Errno 28] No space left on device"
        ]
    assert [line["event"] for line in logs] == ["audit trail not written"]


def test_without_a_trail() -> None:
    """Nothing is kept."""
    assert record(NoTrail(), {}) == []
    assert NoTrail().newest(5) == []


def test_a_line_is_ascii(tmp_path: Path) -> None:
    """Nothing in it steers a terminal."""
    AuditFile(tmp_path).record({"a": "\x1b[31m\n\u2028"})
    [line] = (tmp_path / FILE_NAME).read_bytes().splitlines()
    assert line.isascii()
    assert b"\x1b" not in line
    assert json.loads(line) == {"a": "\x1b[31m\n\u2028"}
