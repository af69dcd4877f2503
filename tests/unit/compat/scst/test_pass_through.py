import pytest

from isthmus.compat.scst.writer import write
from isthmus.config.model import Backstore, BackstoreKey
from tests.support.scst import FILE, imported, surroundings

KEY = BackstoreKey("pscsi", "1:0:0:0")
MACHINE = surroundings(files={"/sys/bus/scsi/devices/1:0:0:0/type": ["/sys/bus/scsi/devices/1:0:0:0/type"]})


@pytest.mark.parametrize("handler", ["dev_disk", "dev_tape", "dev_cdrom"])
def test_a_device_gets_the_commands(handler: str) -> None:
    """By its address; it says itself what it is."""
    found = imported(f"HANDLER {handler} {{\nDEVICE 1:0:0:0\n}}", MACHINE)
    assert found.findings == ()
    assert found.configuration.backstores == {
        KEY: Backstore(key=KEY, path="1:0:0:0", write_back=False, unit_serial=KEY.derived_serial)
    }
    exported = write(found.configuration)
    assert (exported.remarks, "DEVICE 1:0:0:0" in exported.text) == ((), True)


@pytest.mark.parametrize("address", ["2:0:0:0", "../x", "1:0:0", "x"])
def test_what_is_no_device_here_is_left_out(address: str) -> None:
    """Whatever its name looks like."""
    found = imported(f"HANDLER dev_disk {{\nDEVICE {address}\n}}", MACHINE)
    assert found.configuration.backstores == {}
    told = "this machine has none of that address; it is left out, with its LUNs"
    assert [str(finding) for finding in found.findings] == [f"{FILE}:2: DEVICE {address} is a SCSI device: {told}"]
