import pytest

from isthmus.compat.tgt.errors import Refused
from isthmus.compat.tgt.unit_parameters import UNIT_PARAMETERS, attributes_of
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value

WRITE_CACHE_OFF = "8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"


@pytest.mark.parametrize(
    ("name", "value", "attributes"),
    [
        ("scsi_id", "IET     00010001", {"t10_id": "IET     00010001", "naa_id": "60000000000000000e00000000010001"}),
        ("vendor_id", "QUANTUMCORP", {"vendor_id": "QUANTUMC"}),
        ("product_rev", "00101", {"revision": "0010"}),
        ("sense_format", "1", {"descriptor_sense": 1}),
        ("removable", "Yes", {"removable": 0}),
        ("readonly", "1", {"write_protect": 1}),
        ("online", "0", {"medium_present": 0}),
        ("thin_provisioning", "1", {"emulate_tpu": 1, "emulate_tpws": 1}),
        ("rotation_rate", "7200", {"is_nonrot": 0, "rotation_rate": 7200}),
        ("rotation_rate", "1", {"is_nonrot": 1, "rotation_rate": 0}),
        ("lbppbe", "3", {"physical_block_exponent": 3}),
        ("mode_page", WRITE_CACHE_OFF, {"emulate_write_cache": 0}),
        ("mode_page", "0x08:0:18:0x14:0", {"emulate_write_cache": 1}),
        ("mode_page", "10:0:10:0x04:0:0:0x40:0:0:0:0:2:0", {"descriptor_sense": 1, "emulate_tas": 1}),
        ("mode_page", "0x1c:0:10:8:0:0:0:0:0:0:0:0:0", {}),
    ],
)
def test_what_parameters_mean(name: str, value: str, attributes: dict[str, Value]) -> None:
    """By atoi and the fields' lengths, as with tgtd."""
    assert attributes_of(name, value) == attributes


def test_every_parameter_leads_to_attributes_that_there_are() -> None:
    """With a value that tgt's documentation has."""
    for row in UNIT_PARAMETERS.values():
        for name, value in row.attributes("1" if row.name != "mode_page" else WRITE_CACHE_OFF).items():
            assert BACKSTORE_ATTRIBUTES.parse(name, value) == value


@pytest.mark.parametrize(("name", "value"), [("Online", "No"), ("online", ""), ("mode_page", "8")])
def test_what_is_no_parameter(name: str, value: str) -> None:
    """Tgtd is particular about their case."""
    with pytest.raises(Refused):
        attributes_of(name, value)
