import socket

import pytest

from isthmus.initiator.settings import LoginSettings, default_initiator_name, digest_offer, random_isid


def test_isids_are_random_and_say_so() -> None:
    """T is 10b, the qualifier 0, and two are not alike (RFC 7143 §11.12.5)."""
    isids = {random_isid() for _ in range(16)}
    assert len(isids) > 1
    assert all(isid >> 46 == 0b10 and isid >> 40 & 0x3F == 0 and isid & 0xFFFF == 0 for isid in isids)


@pytest.mark.parametrize(("wanted", "offer"), [(None, ("None", "CRC32C")), (True, ("CRC32C",)), (False, ("None",))])
def test_digest_offers(wanted: bool | None, offer: tuple[str, ...]) -> None:
    """Insisted on, refused, or left to the target."""
    assert digest_offer(wanted) == offer


@pytest.mark.parametrize(
    ("host", "end"), [("disk-1.example.org", "disk-1.example.org"), ("Fat_Disk", "fat-disk"), ("__", "localhost")]
)
def test_the_default_name_ends_in_the_host(monkeypatch: pytest.MonkeyPatch, host: str, end: str) -> None:
    """Whatever the host is called, the name is valid."""
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert default_initiator_name() == f"iqn.2026-01.org.isthmus:initiator:{end}"


def test_settings_without_a_target_are_for_discovery() -> None:
    """Only the host must be given."""
    settings = LoginSettings(host="192.0.2.1")
    assert (settings.target_name, settings.port, settings.credentials) == (None, 3260, None)
    assert dict(settings.overrides) == {}
