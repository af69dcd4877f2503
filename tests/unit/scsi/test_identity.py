import pytest

from isthmus.errors import ConfigurationError
from isthmus.scsi.identity import UnitIdentity


def test_identity_follows_from_the_backstore() -> None:
    """The same backstore is the same unit after a restart, and another one is another unit."""
    first, again, other = (UnitIdentity.derived(seed) for seed in ("/srv/a.img", "/srv/a.img", "/srv/b.img"))
    assert first == again
    assert first.serial != other.serial
    assert first.naa != other.naa


def test_naa_is_of_the_format_that_initiators_name_disks_by() -> None:
    """A derived NAA designator is of format 6h and 16 bytes long, and has the first digits of the serial number."""
    identity = UnitIdentity.derived("/srv/a.img")
    assert identity.naa_designator.hex() == "6001405" + identity.serial[:25]


def test_naa_of_a_serial_number_with_few_digits() -> None:
    """It is made of the hash of the serial number, so that two with the same few digits do not collide."""
    first, second = (UnitIdentity.derived("", serial=serial).naa_designator for serial in ("disk-1", "risk-1"))
    assert first.hex().startswith("6001405")
    assert len(first) == len(second) == 16
    assert first != second


def test_serial_number_can_be_given() -> None:
    """The designators follow a serial number that the administrator chose, not the file behind it."""
    first = UnitIdentity.derived("/srv/a.img", serial="disk-1")
    moved = UnitIdentity.derived("/mnt/a.img", serial="disk-1")
    assert first == moved
    assert first.serial_field == b"disk-1"


def test_naa_6_is_sixteen_bytes() -> None:
    """A given NAA 6h designator is used as it is."""
    naa = 0x6001_4050_0000_0000_0000_0000_0000_0001
    assert UnitIdentity.derived("x", naa=naa).naa_designator == naa.to_bytes(16)


def test_fields_are_padded() -> None:
    """The fields of the standard INQUIRY data have fixed lengths, filled with spaces."""
    identity = UnitIdentity(serial="s", naa=3 << 60, vendor="V", product="P", revision="1")
    assert identity.vendor_field == b"V       "
    assert identity.product_field == b"P" + b" " * 15
    assert identity.revision_field == b"1   "
    assert identity.t10_vendor_designator == identity.vendor_field + identity.product_field + b"s"


def test_eui64() -> None:
    """The EUI-64 designator is 8 bytes, or absent."""
    identity = UnitIdentity(serial="s", naa=3 << 60, eui64=0x0123_4567_89AB_CDEF)
    assert identity.eui64_designator == bytes.fromhex("0123456789abcdef")
    assert UnitIdentity.derived("x").eui64_designator is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vendor", "LONGER-THAN-8"),
        ("product", "x" * 17),
        ("revision", "00001"),
        ("serial", "x" * 253),
        ("serial", ""),
        ("serial", "ünique"),
        ("vendor", "a\nb"),
        ("naa", 1 << 128),
        ("eui64", 1 << 64),
    ],
)
def test_what_does_not_fit_is_refused(field: str, value: object) -> None:
    """A name that no field could hold is a mistake in the configuration."""
    names: dict[str, object] = {"serial": "s", "naa": 3 << 60, field: value}
    with pytest.raises(ConfigurationError):
        UnitIdentity(**names)  # type: ignore[arg-type]
