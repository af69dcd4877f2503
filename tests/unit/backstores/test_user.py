from pathlib import Path

import pytest

from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.errors import ConfigurationError


def spec(config: str, **fields: object) -> BackstoreSpec:
    """Of a backstore of the kind `user`."""
    return BackstoreSpec(kind="user", path="/backstores/user/a", options={"config": config}, **fields)  # type: ignore[arg-type]


def test_a_file_of_raw_bytes_is_served(tmp_path: Path) -> None:
    """As fileio serves it: with the size that it has, or made where it is missing."""
    path = tmp_path / "disk.img"
    made = open_backstore(spec(f"file/{path}", size=8192, create=True))
    made.write(0, [b"content"])
    made.close()
    again = open_backstore(spec(f"file/{path}"))
    buffer = bytearray(7)
    again.read_into(0, memoryview(buffer))
    assert (again.size, bytes(buffer)) == (8192, b"content")
    again.close()


@pytest.mark.parametrize(
    ("config", "problem", "remedy"),
    [
        ("qcow//srv/a.qcow2", "user:qcow cannot be served", "qemu-nbd"),
        ("rbd/pool/image", "user:rbd cannot be served", "rbd map"),
        ("glfs/volume@host/file", "user:glfs cannot be served", "mount"),
        ("fbo//srv/a.iso", "user:fbo cannot be served", "optical"),
        ("zbc/0/0", "user:zbc cannot be served", "zoned"),
        ("own/x", "user:own cannot be served", "TCMU"),
        ("file/relative", "is not an absolute path", "file//"),
        ("", "has no config", "file//"),
    ],
)
def test_what_needs_another_program_is_refused_with_another_way(config: str, problem: str, remedy: str) -> None:
    """One line says what is wrong, and how the storage can be served."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        open_backstore(spec(config))
    assert remedy in caught.value.remedy
