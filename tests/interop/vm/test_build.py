"""The parts of the image's builder that can be shown without building."""

import lzma
import struct

import pytest

from tests.interop.vm.image import build
from tests.interop.vm.image.build import BuildError, kernel_package, mirror, uncompressed_kernel

SETUP_SECTORS, OFFSET = 3, 100


def boot_image(payload: bytes) -> bytes:
    """A bzImage with that payload."""
    image = bytearray((SETUP_SECTORS + 1) * 512 + OFFSET)
    image[0x1F1] = SETUP_SECTORS
    struct.pack_into("<II", image, 0x248, OFFSET, len(payload))
    return bytes(image) + payload + b"what follows"


def test_a_kernel_compressed_by_xz_is_uncompressed() -> None:
    """The payload's content is given, without what stands around it."""
    assert uncompressed_kernel(boot_image(lzma.compress(b"\x7fELF kernel"))) == b"\x7fELF kernel"


def test_a_kernel_compressed_otherwise_stays() -> None:
    """QEMU starts a bzImage too."""
    image = boot_image(b"\x02!L\x18 something")
    assert uncompressed_kernel(image) == image


def test_the_kernel_that_the_meta_package_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of the kernel's interface moves with security updates, so apt is asked."""
    monkeypatch.setattr(build, "run", lambda _command: "linux-image-amd64\n  Depends: linux-image-6.1.0-99-amd64\n")
    assert kernel_package() == "linux-image-6.1.0-99-amd64"


@pytest.mark.parametrize("question", [kernel_package, mirror])
def test_sources_without_debian(monkeypatch: pytest.MonkeyPatch, question: object) -> None:
    """Where apt has no Debian to offer, the error says what is missing."""
    monkeypatch.setattr(build, "run", lambda _command: "")
    assert callable(question)
    with pytest.raises(BuildError, match="apt sources"):
        question()


def test_other_packages_make_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same recipe and versions give the same image, another version another."""
    monkeypatch.setattr(build, "offered_versions", lambda _packages: "fio:\n  Candidate: 3.33\n")
    key = build.key()
    assert build.key() == key
    monkeypatch.setattr(build, "offered_versions", lambda _packages: "fio:\n  Candidate: 3.34\n")
    assert build.key() != key
