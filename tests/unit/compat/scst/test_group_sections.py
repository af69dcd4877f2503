import dataclasses

from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.group_sections import device_group_sections
from isthmus.compat.scst.layout import layout
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.names import IscsiName
from tests.support.scst import imported

KEY = BackstoreKey("fileio", "d")
NAME = IscsiName("iqn.2026-01.org.example:t")


def written(*groups: AluaGroup, lun_group: str = "default_tg_pt_gp") -> str:
    """The sections of a configuration with one backstore and one LUN."""
    store = Backstore(key=KEY, path="/a", unit_serial="s", alua_groups=groups)
    lun = Lun(number=0, backstore=KEY, alua_group=lun_group)
    target = Target(name=NAME, portal_groups=(PortalGroup(tag=1, luns=(lun,)),))
    configuration = Configuration(backstores={KEY: store}, targets={NAME: target})
    return layout(device_group_sections(configuration, DeviceNames([store])))


def test_a_device_with_groups_has_a_section() -> None:
    """With the targets that reach it through each group."""
    group = AluaGroup(name="g", alua_group_id=7, parameters={"alua_access_state": 2, "preferred": 1})
    assert written(group, lun_group="g") == (
        "\nDEVICE_GROUP d {\n\tDEVICE d\n\tTARGET_GROUP g {\n\t\tgroup_id 7\n\t\tstate standby\n\t\tpreferred 1\n"
        f"\t\tTARGET {NAME}\n\t}}\n}}\n"
    )


HERE = IscsiName("iqn.2026-01.org.example:here")
SAMPLE = f"""HANDLER vdisk_nullio {{
	DEVICE a
	DEVICE b
}}
TARGET_DRIVER iscsi {{
	TARGET {NAME} {{
		LUN 0 a
	}}
	TARGET {HERE} {{
		LUN 0 b
	}}
}}
DEVICE_GROUP both {{
	DEVICE a
	DEVICE b
	TARGET_GROUP local {{
		group_id 1
		TARGET {NAME}
		TARGET {HERE}
	}}
	TARGET_GROUP remote {{
		group_id 2
		state standby
	}}
}}
"""


def sections(configuration: Configuration) -> list[str]:
    """The lines of the sections."""
    blocks = device_group_sections(configuration, DeviceNames(configuration.backstores.values()))
    return [line.strip() for line in layout(blocks).splitlines() if line]


def test_devices_that_came_together_stay_together() -> None:
    """Under the name that scripts know, until they differ."""
    configuration = imported(SAMPLE).configuration
    assert sections(configuration) == [
        *("DEVICE_GROUP both {", "DEVICE a", "DEVICE b"),
        *("TARGET_GROUP local {", "group_id 1", "state active", f"TARGET {NAME}", f"TARGET {HERE}", "}"),
        *("TARGET_GROUP remote {", "group_id 2", "state standby", "}", "}"),
    ]
    key = BackstoreKey("null", "a")
    alone = dataclasses.replace(configuration.backstores[key], alua_groups=())
    changed = dataclasses.replace(configuration, backstores={**configuration.backstores, key: alone})
    assert sections(changed)[:2] == ["DEVICE_GROUP both {", "DEVICE b"]
    moved = dataclasses.replace(configuration.backstores[key], alua_groups=(AluaGroup(name="other", alua_group_id=9),))
    changed = dataclasses.replace(configuration, backstores={**configuration.backstores, key: moved})
    assert [line for line in sections(changed) if line.startswith("DEVICE_GROUP")] == [
        "DEVICE_GROUP a {",
        "DEVICE_GROUP b {",
    ]


def test_the_group_that_is_always_there_needs_no_word() -> None:
    """As long as nobody has changed it."""
    assert written(AluaGroup(name="default_tg_pt_gp", alua_group_id=0)) == ""
    changed = AluaGroup(name="default_tg_pt_gp", alua_group_id=0, parameters={"alua_access_state": 3})
    assert f"state unavailable\n\t\tTARGET {NAME}" in written(changed)
