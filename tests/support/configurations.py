"""Configurations made up by hypothesis: every part of the model, with names and numbers that agree."""

import dataclasses
from functools import cache

from hypothesis import strategies as st

from isthmus.config.model import (
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    Ascii,
    Choice,
    Flag,
    Hexadecimal,
    KeyList,
    ListOf,
    Number,
    OneOf,
    Setting,
    SettingTable,
    Value,
)
from isthmus.names import IscsiName

__all__ = ["configurations", "values_of"]

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
_ADDRESSES = st.sampled_from(["ALL", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "2001:db8::7"])
_PATTERNS = st.sampled_from(["*", "?", "iqn.*:db?", "!iqn.*", "eui.0123456789abcdef", "*:initiator1#192.0.2.?"])
_PORTS = st.integers(1, 0xFFFF).map(str)
_LISTED = {"allowed_addresses": _ADDRESSES, "other_ports": _PORTS}
_SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@cache
def values_of(setting: Setting) -> st.SearchStrategy[Value]:
    """Values that a setting can have."""
    kind = setting.kind
    if setting.fixed:
        return st.just(setting.default)
    if isinstance(kind, OneOf):
        return st.sampled_from(kind.numbers)
    if isinstance(kind, Number):
        numbers = st.integers(kind.low, kind.high)
        return numbers | st.just(0) if kind.or_zero else numbers
    if isinstance(kind, Flag):
        return st.integers(0, 1)
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    if isinstance(kind, KeyList):
        words = st.lists(st.sampled_from(kind.words), min_size=1, unique=True)
        return words.map(",".join)
    if isinstance(kind, Ascii):
        return st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=kind.longest)
    if isinstance(kind, Hexadecimal):
        return st.sampled_from(["", *("5a" * (length // 2) for length in kind.lengths)])
    if isinstance(kind, ListOf):
        items = _LISTED.get(setting.name, _PATTERNS)
        return st.lists(items.map(kind.canonical), max_size=3, unique=True).map(",".join)
    return _WORDS


@st.composite
def _settings(draw: st.DrawFn, table: SettingTable) -> dict[str, Value]:
    """A few settings of the table: more would be more than hypothesis takes."""
    some = draw(st.lists(st.sampled_from(tuple(table)), max_size=4, unique_by=lambda setting: setting.name))
    return {setting.name: draw(values_of(setting)) for setting in some}


_ACCOUNTS = st.lists(
    st.builds(Account, _SECRETS.filter(bool), _SECRETS.filter(bool)), unique_by=lambda user: user.userid, max_size=2
).map(tuple)
_OPTIONS = st.dictionaries(st.sampled_from(["tgt_tid", "tgt_flags"]), st.integers() | _WORDS, max_size=2)


@st.composite
def _chaps(draw: st.DrawFn) -> Chap:
    chap = draw(st.builds(Chap, userid=_SECRETS, password=_SECRETS, mutual_userid=_SECRETS, mutual_password=_SECRETS))
    others = tuple(user for user in draw(_ACCOUNTS) if user.userid != chap.userid)
    return dataclasses.replace(chap, others=others)


_CHAPS = st.just(Chap()) | _chaps()
_HOSTS = st.sampled_from(["::", "0.0.0.0", "127.0.0.1", "192.0.2.7", "2001:db8::7", "fe80::1"])


def _portals(tag: int) -> st.SearchStrategy[Portal]:
    """Portals that no group of another tag has."""
    ports = st.integers(0, 9_999).map(lambda number: 3 * number + tag)
    return st.builds(Portal, _HOSTS, ports, iser=st.booleans(), offload=st.booleans())


@st.composite
def _backstores(draw: st.DrawFn, number: int) -> Backstore:
    kind = draw(st.sampled_from(["fileio", "block", "ramdisk"]))
    attributes = draw(_settings(BACKSTORE_ATTRIBUTES))
    if kind == "ramdisk":
        attributes.pop("device_type", None)
    # A drive has blocks of its own, and is not encrypted.
    is_drive = attributes.get("device_type") == "cd"
    for name, of_disks in (("block_size", attributes.get("block_size") != 2048), ("encrypt", True)):
        if is_drive or not of_disks:
            attributes.pop(name, None)
    groups = draw(st.lists(_WORDS, unique=True, max_size=2))
    return Backstore(
        key=BackstoreKey(kind, f"disk{number}"),
        path="" if kind == "ramdisk" else f"/srv/{draw(_WORDS)}",
        size=draw(st.none() | st.integers(1, 1 << 50)),
        write_back=draw(st.booleans()) if kind != "ramdisk" else False,
        read_only=draw(st.booleans()),
        unit_serial=f"{draw(_WORDS)}-{number}",
        attributes=attributes,
        alua_groups=tuple(
            AluaGroup(name=name, alua_group_id=index, parameters=draw(_settings(ALUA_GROUP_PARAMETERS)))
            for index, name in enumerate(groups)
        ),
        options=draw(st.dictionaries(st.sampled_from(["aio", "nullio", "exclusive"]), st.integers(0, 1))),
    )


def _without_port_number(attributes: dict[str, Value]) -> dict[str, Value]:
    """No two groups of a configuration have the same."""
    return {name: value for name, value in attributes.items() if name != "relative_target_port_id"}


@st.composite
def _acls(draw: st.DrawFn, number: int, luns: list[int]) -> NodeAcl:
    numbers = draw(st.lists(st.integers(0, 300), unique=True, max_size=3)) if luns else []
    return NodeAcl(
        name=IscsiName(f"iqn.2026-01.org.example:initiator{number}"),
        tag=draw(_WORDS | st.just("")),
        attributes=draw(_settings(ACL_ATTRIBUTES)),
        mapped_luns=tuple(
            MappedLun(number=lun, tpg_lun=draw(st.sampled_from(luns)), write_protect=draw(st.booleans()))
            for lun in numbers
        ),
        chap=draw(_CHAPS),
    )


@st.composite
def _initiator_groups(draw: st.DrawFn, number: int, luns: list[int]) -> InitiatorGroup:
    numbers = draw(st.lists(st.integers(0, 300), unique=True, max_size=2)) if luns else []
    return InitiatorGroup(
        name=f"group{number}",
        initiators=tuple(draw(st.lists(_PATTERNS, unique=True, max_size=2))),
        mapped_luns=tuple(
            MappedLun(number=lun, tpg_lun=draw(st.sampled_from(luns)), write_protect=draw(st.booleans()))
            for lun in numbers
        ),
        attributes=draw(_settings(INITIATOR_GROUP_ATTRIBUTES)),
    )


@st.composite
def _groups(draw: st.DrawFn, tag: int, backstores: list[BackstoreKey]) -> PortalGroup:
    numbers = draw(st.lists(st.integers(0, 300), unique=True, max_size=3)) if backstores else []
    portals = draw(st.lists(_portals(tag), unique_by=lambda portal: (portal.address, portal.port), max_size=2))
    return PortalGroup(
        tag=tag,
        enable=draw(st.booleans()),
        attributes=draw(_settings(TPG_ATTRIBUTES).map(_without_port_number)),
        parameters=draw(_settings(TPG_PARAMETERS)),
        chap=draw(_CHAPS),
        portals=tuple(portals),
        luns=tuple(Lun(number=lun, backstore=draw(st.sampled_from(backstores)), alias=draw(_WORDS)) for lun in numbers),
        node_acls=tuple(draw(_acls(number, numbers)) for number in range(draw(st.integers(0, 2)))),
        initiator_groups=tuple(
            draw(_initiator_groups(number, numbers)) for number in draw(st.permutations(range(draw(st.integers(0, 2)))))
        ),
    )


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """A configuration that `check` accepts."""
    stores = [draw(_backstores(number)) for number in range(draw(st.integers(0, 3)))]
    keys = [store.key for store in stores]
    targets = [
        Target(
            name=IscsiName(f"iqn.2026-01.org.example:target{number}"),
            portal_groups=tuple(draw(_groups(tag, keys)) for tag in range(1, draw(st.integers(1, 3)))),
            options=draw(_OPTIONS),
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    return Configuration(
        backstores={store.key: store for store in stores},
        targets={target.name: target for target in targets},
        discovery=draw(st.builds(DiscoveryAuthentication, enable=st.booleans(), chap=_CHAPS)),
        accounts=draw(_ACCOUNTS),
        options=draw(_OPTIONS),
    )
