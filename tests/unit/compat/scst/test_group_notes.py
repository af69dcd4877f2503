import dataclasses

import pytest

from isthmus.compat.scst.alua import NOTES
from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.group_notes import notes_of, with_notes
from isthmus.compat.scst.group_sections import held_sections
from isthmus.compat.scst.layout import Block, layout
from isthmus.config.model import AluaGroup, Configuration
from tests.support.scst import imported

NAME = "iqn.2026-01.org.example:t"
HEAD = (
    "HANDLER vdisk_nullio {\nDEVICE a\nDEVICE b\n}\n"
    f"TARGET_DRIVER iscsi {{\nTARGET {NAME} {{\nLUN 0 a\n}}\nTARGET {NAME}2\n}}\n"
)
HELD = f"DEVICE_GROUP d {{\nDEVICE a\nTARGET_GROUP g {{\ngroup_id 1\nTARGET {NAME}\n}}\n}}\n"


def test_what_backstores_and_luns_hold_needs_no_note() -> None:
    """In whatever order it is said."""
    assert NOTES not in imported(HEAD + HELD).configuration.options
    block = Block(("DEVICE_GROUP", "d"), [Block(("DEVICE", "a")), Block(("DEVICE", "b"))])
    turned = Block(block.words, block.inner[::-1])
    assert notes_of([block], [turned]) == ""


@pytest.mark.parametrize(
    "section",
    [
        "DEVICE_GROUP d",
        "DEVICE_GROUP d {\nDEVICE a\n}",
        "DEVICE_GROUP d {\nTARGET_GROUP g {\ngroup_id 2\nstate standby\npreferred 1\n}\n}",
        f"DEVICE_GROUP d {{\nDEVICE a\nTARGET_GROUP g {{\ngroup_id 1\nstate active\nTARGET {NAME}\nTARGET {NAME}2\n}}\n}}",
        "DEVICE_GROUP d {\nDEVICE a\nTARGET_GROUP g {\ngroup_id 1\nstate active\nTARGET far {\nrel_tgt_id 8\n}\n}\n}",
    ],
    ids=["nothing in it", "a device only", "a group only", "a target without a LUN", "another server's target"],
)
def test_what_they_cannot_hold_is_noted(section: str) -> None:
    """And told again as it was."""
    configuration = imported(HEAD + section).configuration
    assert configuration.options[NOTES]
    assert told(configuration) == section.splitlines()


def told(configuration: Configuration) -> list[str]:
    """The lines of all sections."""
    names = DeviceNames(configuration.backstores.values())
    notes = str(configuration.options.get(NOTES, ""))
    sections = with_notes(held_sections(configuration, names), notes, configuration, names)
    return [line.strip() for line in layout(sections).splitlines() if line.strip()]


def test_what_has_changed_elsewhere_counts_more() -> None:
    """A note cannot bring a group back that somebody has changed or removed by other means, nor a device."""
    text = f"{HEAD}DEVICE_GROUP d {{\nDEVICE a\nDEVICE b\nTARGET_GROUP g {{\ngroup_id 1\nTARGET {NAME}2\n}}\n}}"
    configuration = imported(text).configuration
    changed = {
        key: dataclasses.replace(store, alua_groups=(AluaGroup(name="h", alua_group_id=5),))
        for key, store in configuration.backstores.items()
        if key.name == "a"
    }
    targets = configuration.targets
    assert told(dataclasses.replace(configuration, backstores=changed, targets={})) == [
        *("DEVICE_GROUP d {", "DEVICE a", "TARGET_GROUP h {", "group_id 5", "state active", "}", "}"),
    ]
    assert told(Configuration(options=configuration.options)) == [
        *("DEVICE_GROUP d {", "TARGET_GROUP g {", "group_id 1", "state active", f"TARGET {NAME}2", "}", "}"),
    ]
    assert targets
