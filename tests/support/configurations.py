"""Configurations made up by hypothesis: every part of the model, with names and numbers that agree."""

from hypothesis import strategies as st

from isthmus.config.model import (
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
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
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    Choice,
    Flag,
    KeyList,
    Number,
    Setting,
    SettingTable,
    Value,
)
from isthmus.names import IscsiName

__all__ = ["configurations", "values_of"]

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
_SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def values_of(setting: Setting) -> st.SearchStrategy[Value]:
    """Values that a setting can have."""
    kind = setting.kind
    if setting.fixed:
        return st.just(setting.default)
    if setting.name == "block_size":
        return st.sampled_from([512, 4096])
    if isinstance(kind, Number):
        return st.integers(kind.low, kind.high)
    if isinstance(kind, Flag):
        return st.integers(0, 1)
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    if isinstance(kind, KeyList):
        words = st.lists(st.sampled_from(kind.words), min_size=1, unique=True)
        return words.map(",".join)
    return _WORDS


def _settings(table: SettingTable) -> st.SearchStrategy[dict[str, Value]]:
    return st.fixed_dictionaries({}, optional={setting.name: values_of(setting) for setting in table})


_CHAPS = st.builds(Chap, userid=_SECRETS, password=_SECRETS, mutual_userid=_SECRETS, mutual_password=_SECRETS)
_PORTALS = st.builds(
    Portal, st.ip_addresses().map(str), st.integers(1, 65535), iser=st.booleans(), offload=st.booleans()
)


@st.composite
def _backstores(draw: st.DrawFn, number: int) -> Backstore:
    kind = draw(st.sampled_from(["fileio", "block", "ramdisk"]))
    groups = draw(st.lists(_WORDS, unique=True, max_size=2))
    return Backstore(
        key=BackstoreKey(kind, f"disk{number}"),
        path="" if kind == "ramdisk" else f"/srv/{draw(_WORDS)}",
        size=draw(st.none() | st.integers(1, 1 << 50)),
        write_back=draw(st.booleans()) if kind != "ramdisk" else False,
        read_only=draw(st.booleans()),
        unit_serial=f"{draw(_WORDS)}-{number}",
        attributes=draw(_settings(BACKSTORE_ATTRIBUTES)),
        alua_groups=tuple(
            AluaGroup(name=name, alua_group_id=index, parameters=draw(_settings(ALUA_GROUP_PARAMETERS)))
            for index, name in enumerate(groups)
        ),
        options=draw(st.dictionaries(st.sampled_from(["aio", "nullio", "exclusive"]), st.integers(0, 1))),
    )


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
def _groups(draw: st.DrawFn, tag: int, backstores: list[BackstoreKey]) -> PortalGroup:
    numbers = draw(st.lists(st.integers(0, 300), unique=True, max_size=3)) if backstores else []
    portals = draw(st.lists(_PORTALS, unique_by=lambda portal: (portal.address, portal.port), max_size=2))
    return PortalGroup(
        tag=tag,
        enable=draw(st.booleans()),
        attributes=draw(_settings(TPG_ATTRIBUTES)),
        parameters=draw(_settings(TPG_PARAMETERS)),
        chap=draw(_CHAPS),
        portals=tuple(portals),
        luns=tuple(Lun(number=lun, backstore=draw(st.sampled_from(backstores)), alias=draw(_WORDS)) for lun in numbers),
        node_acls=tuple(draw(_acls(number, numbers)) for number in range(draw(st.integers(0, 2)))),
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
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    return Configuration(
        backstores={store.key: store for store in stores},
        targets={target.name: target for target in targets},
        discovery=draw(st.builds(DiscoveryAuthentication, enable=st.booleans(), chap=_CHAPS)),
    )
