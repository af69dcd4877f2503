import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.scst.identity import attributes_of, explicit, given_by, serial_of
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.config.settings import Value
from isthmus.server.unit_settings import identity_of


def store(attributes: dict[str, Value], kind: str = "fileio", name: str = "disk1") -> Backstore:
    """A backstore with the serial number that SCST would make up."""
    return Backstore(key=BackstoreKey(kind, name), unit_serial=serial_of(name, 0), attributes=attributes)


@pytest.mark.parametrize(("name", "setup_id", "serial"), [("disk1", 0x1234, "1234b8fdbd32"), ("disk1", 0, "b8fdbd32")])
def test_serial_numbers_are_those_of_scst(name: str, setup_id: int, serial: str) -> None:
    """CRC32C of the name with its NUL, without the customary inversions, below the setup_id."""
    assert serial_of(name, setup_id) == serial


def test_the_disk_looks_as_with_scst() -> None:
    """No NAA name, and the first eight characters of the T10 name for an EUI-64."""
    identity = identity_of(store(attributes_of("block", "disk1", 0, {}), "block"))
    assert (identity.vendor, identity.product, identity.serial_field) == ("SCST_BIO", "disk1", b"b8fdbd32")
    assert identity.t10_vendor_designator == b"SCST_BIOb8fdbd32-disk1"
    assert identity.eui64_designator == b"b8fdbd32"
    assert not identity.tells_naa


@pytest.mark.parametrize(
    ("names", "attributes"),
    [
        ({"t10_dev_id": "0x2345"}, {"eui64_id": b"0x2345\0\0".hex(), "t10_id": "SCST_FIOb8fdbd32-disk1"}),
        ({"vend_specific_id": "mine"}, {"t10_id": "SCST_FIOmine"}),
        ({"naa_id": "5000c500deadbeef"}, {"naa_id": "5000c500deadbeef", "report_naa_id": 1}),
        ({"t10_vend_id": "ACME"}, {"vendor_id": "ACME", "t10_id": "ACME    b8fdbd32-disk1"}),
        ({"prod_id": "disk1"}, {}),
        ({"prod_id": "Skates", "prod_rev_lvl": "2.1"}, {"product_id": "Skates", "revision": "2.1"}),
    ],
)
def test_names_that_are_given_count(names: dict[str, str], attributes: dict[str, Value]) -> None:
    """With what follows from them."""
    found = attributes_of("fileio", "disk1", 0, names)
    assert {**found, **attributes} == found
    if "naa_id" in names:
        assert "eui64_id" not in found


def test_what_scst_has_by_itself_need_not_be_said() -> None:
    """Of a disk that came from there."""
    assert list(given_by(store(attributes_of("fileio", "disk1", 0, {})), "disk1")) == []


_NAMES = st.fixed_dictionaries(
    {},
    optional={
        "vendor_id": st.text("AB c", max_size=8),
        "product_id": st.text("AB c", max_size=16),
        "revision": st.text("123", max_size=4),
        "naa_id": st.integers(1 << 60, (1 << 64) - 1).map(lambda number: f"{number:016x}"),
        "eui64_id": st.binary(min_size=8, max_size=8).map(bytes.hex),
        "t10_id": st.text("AB c", min_size=9, max_size=30),
        "report_naa_id": st.integers(0, 1),
    },
)


@given(_NAMES)
def test_names_that_can_be_said_come_back(attributes: dict[str, Value]) -> None:
    """What a file is given to say makes the same disk, wherever SCST can show such a one."""
    before = identity_of(store(attributes))
    if before.eui64_designator is None and not before.tells_naa:
        return  # SCST always has one of them
    if not before.t10_vendor_designator.startswith(before.vendor_field):
        return  # with SCST, the designator begins with the vendor
    names = dict(given_by(store(attributes), "disk1"))
    after = identity_of(store(attributes_of("fileio", "disk1", 0, names)))
    shown = dataclasses.replace(after, naa=before.naa) if not before.tells_naa else after
    assert shown.t10_vendor_designator.rstrip() == before.t10_vendor_designator.rstrip()
    assert dataclasses.replace(shown, t10_id="") == dataclasses.replace(before, t10_id="")


def test_written_out_names_make_no_difference() -> None:
    """Two disks that look alike have the same attributes then."""
    plain = store({})
    written = store({"product_id": "disk1", "vendor_id": identity_of(plain).vendor})
    assert explicit(plain) == explicit(written)
    assert identity_of(dataclasses.replace(plain, attributes=explicit(plain))) == dataclasses.replace(
        identity_of(plain), t10_id=str(explicit(plain)["t10_id"])
    )
