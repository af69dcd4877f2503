"""Every setting does what its name says: each row of each table has a test that is named after it and sees the effect.

The tests stand where the settings take effect. A new row without such a test fails here.
"""

import ast
from pathlib import Path
from typing import Final

import pytest

from isthmus.config.document import dump, load
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    Number,
    Setting,
    SettingTable,
)
from isthmus.errors import ConfigurationError

ROOT: Final = Path(__file__).resolve().parents[3]
TABLES: Final[dict[str, tuple[SettingTable, str, tuple[str, ...]]]] = {
    "attributes of a backstore": (
        BACKSTORE_ATTRIBUTES,
        "test_",
        ("unit/server/test_unit_settings_effects.py", "unit/server/test_unit_settings_names_effects.py"),
    ),
    "attributes of a portal group": (TPG_ATTRIBUTES, "test_", ("unit/server/test_group_rules_effects.py",)),
    "parameters of a portal group": (TPG_PARAMETERS, "test_", ("unit/server/test_group_rules_parameters.py",)),
    "attributes of a node ACL": (ACL_ATTRIBUTES, "test_acl_", ("unit/server/test_group_rules_effects.py",)),
    "attributes of an initiator group": (INITIATOR_GROUP_ATTRIBUTES, "test_initiator_group_", ()),
    "parameters of an ALUA group": (ALUA_GROUP_PARAMETERS, "test_", ("unit/server/test_access_groups_effects.py",)),
}
"""Each table, how the tests of its rows are called, and where they are."""

_ACCESS: Final = "interop/test_access_rules.py"
_ALLOWED: Final = "test_who_is_not_allowed_is_refused_and_not_told"
_LIMITED: Final = "test_sessions_up_to_the_limit"
_REDIRECTED: Final = "test_logins_are_sent_to_another_server"
_TOGETHER: Final = {
    ("attributes of a portal group", "allowed_addresses"): (_ACCESS, _ALLOWED),
    ("attributes of a portal group", "allowed_initiators"): (_ACCESS, _ALLOWED),
    ("attributes of a portal group", "allowed_match"): (_ACCESS, _ALLOWED),
    ("attributes of a portal group", "max_sessions"): (_ACCESS, _LIMITED),
    ("attributes of a node ACL", "max_sessions"): (_ACCESS, _LIMITED),
    ("attributes of an initiator group", "max_sessions"): (_ACCESS, _LIMITED),
    ("attributes of a portal group", "redirect_address"): (_ACCESS, _REDIRECTED),
    ("attributes of a portal group", "redirect_port"): (_ACCESS, _REDIRECTED),
    ("attributes of a portal group", "redirect_permanent"): (_ACCESS, _REDIRECTED),
    **{
        ("attributes of a backstore", name): ("interop/test_rate_limits.py", "test_the_rate_is_the_limit")
        for name in ("limit_iops", "limit_iops_burst", "limit_bytes_per_second", "limit_bytes_burst")
    },
}
"""Settings that only together have an effect: the test that tries them."""
ROWS: Final = [
    pytest.param(where, setting, id=f"{where}: {setting.name}")
    for where, (table, _, _) in TABLES.items()
    for setting in table
    if not setting.fixed and not setting.read_only
]


def names_in(path: str) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("where", "setting"), ROWS)
def test_each_setting_has_a_test_of_its_effect(where: str, setting: Setting) -> None:
    """By its name, or in a test of several that belong together."""
    if (where, setting.name) in _TOGETHER:
        path, name = _TOGETHER[where, setting.name]
        assert name in names_in(path)
        return
    _, prefix, paths = TABLES[where]
    found = prefix + setting.name.lower() in {name for path in paths for name in names_in(path)}
    assert found


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        pytest.param(table, setting, id=f"{where}: {setting.name}")
        for where, (table, _, _) in TABLES.items()
        for setting in table
        if setting.fixed
    ],
)
def test_what_is_not_implemented_is_refused_and_not_ignored(table: SettingTable, setting: Setting) -> None:
    """Its default is taken; another value is an error that says why."""
    assert table.parse_change(setting.name, setting.default) == setting.default
    other = {"Yes": "No", "No": "Yes", "Reject": "2048"}.get(str(setting.default), 1)
    with pytest.raises(ConfigurationError, match="can only be") as caught:
        table.parse_change(setting.name, other)
    assert caught.value.remedy == setting.about


READ_ONLY: Final = [setting for setting in BACKSTORE_ATTRIBUTES if setting.read_only]


@pytest.mark.parametrize("setting", READ_ONLY, ids=lambda setting: setting.name)
def test_what_lio_says_of_its_devices_is_kept_and_cannot_be_set(setting: Setting) -> None:
    """It goes through a load and a save without loss; whoever sets it hears that it can only be read."""
    with pytest.raises(ConfigurationError, match="can only be read"):
        BACKSTORE_ATTRIBUTES.parse_change(setting.name, 7)
    key = BackstoreKey("ramdisk", "a")
    store = Backstore(key=key, size=1 << 20, unit_serial="a", attributes={setting.name: 7})
    loaded, remarks = load(dump(Configuration(backstores={key: store})))
    assert not remarks
    assert loaded.backstores[key].attribute(setting.name) == 7
    bare = Backstore(key=key, size=1 << 20, unit_serial="a")
    assert setting.name not in dump(Configuration(backstores={key: bare}))


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        pytest.param(table, setting, id=f"{where}: {setting.name}")
        for where, (table, _, _) in TABLES.items()
        for setting in table
        if isinstance(setting.kind, Number) and not setting.fixed and not setting.read_only
    ],
)
def test_the_ends_of_every_range(table: SettingTable, setting: Setting) -> None:
    """Both belong to it, and what is beyond them does not."""
    assert isinstance(setting.kind, Number)
    for inside in (setting.kind.low, setting.kind.high):
        assert table.parse(setting.name, inside) == inside
    for outside in (setting.kind.low - 1, setting.kind.high + 1):
        if outside == 0 and setting.kind.or_zero:
            continue
        with pytest.raises(ConfigurationError, match="is not from"):
            table.parse(setting.name, outside)
