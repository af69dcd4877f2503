from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping, Nexus
from tests.support.scsi import make_nexus, make_unit


def test_port_names() -> None:
    """The names of both ports follow from the iSCSI names, the ISID and the portal group tag."""
    nexus = make_nexus(isid=0x23D000001)
    assert nexus.initiator_port_name == "iqn.2026-01.com.example:host,i,0x00023d000001"
    assert nexus.target_port_name == "iqn.2026-01.com.example:disks,t,0x0001"


def test_mapping_of_a_lun_field() -> None:
    """Either addressing method finds the mapping; other LUNs mean nothing."""
    first, second = make_unit(), make_unit()
    nexus = make_nexus(first, second)
    for field in (encode_lun(1), 0x4001_0000_0000_0000):
        mapping = nexus.mapping(field)
        assert mapping is not None
        assert mapping.logical_unit is second
    assert nexus.mapping(encode_lun(2)) is None
    assert nexus.mapping(0xC101_0000_0000_0000) is None


def test_logical_units_are_listed_once() -> None:
    """A unit with two LUNs is one unit."""
    first, second = make_unit(), make_unit()
    nexus = Nexus(
        initiator_name="iqn.2026-01.com.example:host",
        isid=1,
        target_name="iqn.2026-01.com.example:disks",
        target_portal_group_tag=1,
        relative_target_port_id=1,
        mappings={0: LunMapping(first), 3: LunMapping(second), 7: LunMapping(first, read_only=True)},
    )
    assert nexus.logical_units == (first, second)
