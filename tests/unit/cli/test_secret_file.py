import os
from pathlib import Path

import pytest

from isthmus.cli.secret_file import read_secret
from isthmus.errors import ConfigurationError


def secret_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with `content` and `mode`."""
    path = directory / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"correct horse", b"correct horse"),
        (b"correct horse\n", b"correct horse"),
        (b"correct horse\r\n", b"correct horse"),
        (b" space is kept \n", b" space is kept "),
        (b"\xff\x00\xfe\n"[:1] + b"\xfe\n", b"\xff\xfe"),
        (b"x" * 255 + b"\r\n", b"x" * 255),
    ],
)
def test_the_line_end_is_not_part_of_the_secret(tmp_path: Path, content: bytes, secret: bytes) -> None:
    """The secret is the file's one line, byte by byte, without its end."""
    assert read_secret(secret_file(tmp_path, content)).reveal() == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file without a secret is a mistake and not an empty secret."""
    with pytest.raises(ConfigurationError, match="is empty"):
        read_secret(secret_file(tmp_path, content))


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"one\n\n", b"x" * 256, b"x" * 100_000, b"a\0b"])
def test_more_than_one_line_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that holds more than one line holds something else than a secret."""
    with pytest.raises(ConfigurationError, match="one line of at most 255 bytes"):
        read_secret(secret_file(tmp_path, content))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644, 0o666])
def test_a_file_that_is_open_to_all_is_refused(tmp_path: Path, mode: int) -> None:
    """A secret that every user can read is refused, with the command that closes it."""
    path = secret_file(tmp_path, b"correct horse\n", mode)
    with pytest.raises(ConfigurationError, match=f"chmod o= {path}"):
        read_secret(path)


def test_a_group_may_read(tmp_path: Path) -> None:
    """The owner may share the file with a group."""
    assert read_secret(secret_file(tmp_path, b"correct horse\n", 0o640)).reveal() == b"correct horse"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(ConfigurationError, match="nowhere cannot be read: No such file"):
        read_secret(tmp_path / "nowhere")


def test_a_pipe_is_taken() -> None:
    """A secret may come through a pipe, whatever its mode says."""
    reader, writer = os.pipe()
    os.write(writer, b"correct horse\n")
    os.close(writer)
    try:
        assert read_secret(Path(f"/dev/fd/{reader}")).reveal() == b"correct horse"
    finally:
        os.close(reader)


def test_an_error_never_shows_the_secret(tmp_path: Path) -> None:
    """The message about a wrong secret file does not quote what is in it."""
    with pytest.raises(ConfigurationError) as refused:
        read_secret(secret_file(tmp_path, b"hunter2\nhunter3\n"))
    assert "hunter" not in str(refused.value)
