from pathlib import Path

import pytest

from isthmus.compat.importer import Finding, ImportSyntaxError, file_text, matching_files, path_kind
from isthmus.errors import ConfigurationError


def test_a_finding_says_where_what_and_what_instead() -> None:
    """It is one line, as compilers write them; without a line number, the file alone is the place."""
    assert str(Finding("/etc/a.conf", 7, "bs-type rbd", "left out")) == "/etc/a.conf:7: bs-type rbd: left out"
    assert str(Finding("/etc/a.conf", 0, "bs-type rbd", "left out")) == "/etc/a.conf: bs-type rbd: left out"


def test_a_syntax_error_is_located() -> None:
    """File, line and column come first, and the remedy last."""
    error = ImportSyntaxError("a.conf", 3, 9, "the block is not closed", "end it with </target>")
    assert str(error) == "a.conf:3:9: the block is not closed: end it with </target>"
    assert (error.line, error.column) == (3, 9)


def test_no_byte_of_a_file_is_lost(tmp_path: Path) -> None:
    """A secret may be in any encoding, or in none."""
    (tmp_path / "file").write_bytes(bytes(range(1, 256)))
    assert file_text(str(tmp_path / "file")).encode("utf-8", "surrogateescape") == bytes(range(1, 256))


def test_the_mark_of_some_editors_is_no_text(tmp_path: Path) -> None:
    """A byte order mark before the first word would be part of that."""
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfword \xef\xbb\xbf")
    assert file_text(str(tmp_path / "file")) == "word \ufeff"


def test_a_file_that_is_not_there_is_an_error_of_the_operator(tmp_path: Path) -> None:
    """One line, no traceback."""
    with pytest.raises(ConfigurationError, match="absent cannot be read: No such file or directory"):
        file_text(str(tmp_path / "absent"))


def test_wildcards_and_directories_mean_files(tmp_path: Path) -> None:
    """Sorted; directories inside are not among them, and what matches nothing is nothing."""
    for name in ("b.conf", "a.conf", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.conf").mkdir()
    assert matching_files(f"{tmp_path}/*.conf") == [f"{tmp_path}/a.conf", f"{tmp_path}/b.conf"]
    assert matching_files(f"{tmp_path}/a.conf") == [f"{tmp_path}/a.conf"]
    assert matching_files(str(tmp_path)) == [f"{tmp_path}/{name}" for name in ("a.conf", "b.conf", "c.txt")]
    assert matching_files(f"{tmp_path}/absent/*") == []
    assert matching_files("/a\0b/*") == []


def test_the_kinds_of_paths(tmp_path: Path) -> None:
    """Only a block device can be used as one."""
    assert path_kind("/dev/null") == "character"
    assert path_kind(str(tmp_path)) == "file"
    assert path_kind(f"{tmp_path}/absent") == "absent"
    assert path_kind("a\0b") == "absent"
