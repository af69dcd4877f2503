"""`isthmus import scst`: scst.conf, or the ini-style file, as a configuration."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from isthmus.compat.importer import Imported, Surroundings
from isthmus.compat.scst import sections
from isthmus.compat.scst.alua import NOTES, read_device_groups
from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.devices import read_devices
from isthmus.compat.scst.grammar import Note, Statement, parse
from isthmus.compat.scst.group_notes import notes_of
from isthmus.compat.scst.group_sections import held_sections
from isthmus.compat.scst.ini import read_sections
from isthmus.compat.scst.report import Attribute, Report, Row, apply, number
from isthmus.compat.scst.targets import read_driver
from isthmus.config.declaration.errors import DocumentError, Position
from isthmus.config.model import Configuration

__all__ = ["read"]

_ISCSI: Final = "iscsi"
_SECTIONS: Final = frozenset({"HANDLER", "TARGET_DRIVER", "DEVICE_GROUP", "ALUA"})


def read(text: str, name: str, surroundings: Surroundings) -> Imported:
    """See `importer.Reader`. The first line that says something tells the two formats apart."""
    report = Report(name)
    try:
        if sections.is_ini(text):
            configuration = read_sections(sections.parse(text), surroundings, report)
        else:
            statements, notes = parse(text)
            configuration = _configuration(statements, notes, surroundings, report)
    except DocumentError as error:
        raise report.error(error.position or Position(1, 1), error.bare_problem, error.remedy) from None
    configuration.check()
    return Imported(configuration, report.in_order())


def _configuration(
    statements: Sequence[Statement], notes: Sequence[Note], surroundings: Surroundings, report: Report
) -> Configuration:
    for note in notes:
        report.say(note.position, note.text, "as scstadmin does, so it is done")
    by_name: dict[str, list[Statement]] = {name: [] for name in _SECTIONS}
    setup_id = 0
    for statement in statements:
        if statement.name in by_name:
            by_name[statement.name].append(statement)
        else:
            setup_id = _core_attribute(statement, setup_id, report)
    for section in by_name["ALUA"]:
        report.say(section.position, "settings of ALUA as a whole", "there are none here; they are left out")
    devices = read_devices(by_name["HANDLER"], setup_id, surroundings, report)
    driver = _iscsi_driver(by_name["TARGET_DRIVER"], report)
    names = frozenset(
        str(target.words[1]) for target in (driver.find("TARGET") if driver else ()) if len(target.words) > 1
    )
    places = read_device_groups(by_name["DEVICE_GROUP"], devices, names, report)
    found = read_driver(driver, devices, places.group_of, surroundings, report)
    stores = [device.store for device in devices.served.values()]
    configuration = Configuration(
        backstores={store.key: store for store in stores},
        targets=found.targets,
        discovery=found.discovery,
        options=places.options,
    )
    more = notes_of(places.sections, held_sections(configuration, DeviceNames(stores)))
    return dataclasses.replace(configuration, options={**places.options, NOTES: more}) if more else configuration


def _core_attribute(statement: Statement, setup_id: int, report: Report) -> int:
    """The setup_id as it is after an attribute of the SCST core."""
    report.no_more(statement, 2)
    if statement.opens:
        raise report.error(statement.position, f"there is no section {statement.name!r} at the top of scst.conf")
    found = Attribute(statement.name, statement.words[1].text if len(statement.words) > 1 else "", statement.position)
    if found.name == "setup_id":
        with report.at(found.position):
            return number(found.value) & 0xFFFF_FFFF
    apply(found, _CORE_ROWS, None, "SCST", report)
    return setup_id


def _iscsi_driver(drivers: Sequence[Statement], report: Report) -> Statement | None:
    """The section of the iSCSI driver; findings on the others."""
    found = None
    for statement in drivers:
        name = report.operand(statement, 1, "which driver")
        report.no_more(statement, 2)
        if name.text != _ISCSI:
            instead = _OTHER_DRIVERS.get(name.text, "there is iSCSI only; it is left out")
            report.say(statement.position, f"TARGET_DRIVER {name}", instead)
        elif found is None:
            found = statement
        else:
            raise report.error(statement.position, "TARGET_DRIVER iscsi is there twice", "put its targets into one")
    return found


_OTHER_DRIVERS: Final[Mapping[str, str]] = {
    "copy_manager": "a copy may go between all disks that its initiator sees; what else is said of it is left out",
}
_CORE_ROWS: Final[Mapping[str, Row[None]]] = {
    "cluster_name": Row(instead="other machines do not hear of reservations"),
    "forcibly_close_sessions": Row(),
    **{
        name: Row()
        for name in (
            "async_lun_replace",
            "force_global_sgv_pool",
            "last_sysfs_mgmt_res",
            "max_tasklet_cmd",
            "measure_latency",
            "poll_us",
            "suspend",
            "threads",
            "trace_cmds",
            "trace_level",
            "trace_mcmds",
            "version",
        )
    },
}
