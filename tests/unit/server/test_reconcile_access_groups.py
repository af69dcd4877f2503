"""The target port groups of a configuration, from the change that names them to the unit that reports them."""

from types import SimpleNamespace
from typing import Any, cast

from isthmus.config.diff import diff
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName
from isthmus.scsi.alua import AluaAccessState
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.state_store import MemoryStateStore
from isthmus.server.disks import Disks
from isthmus.server.login_policy import Directory
from isthmus.server.port_identifiers import PortIdentifiers
from isthmus.server.reconcile import Reconciler

NAME = IscsiName("iqn.2026-01.com.example:disks")
KEY = BackstoreKey("ramdisk", "disk")


class Portals:
    """Listens nowhere."""

    on_change: Any = None

    def want(self, portals: object, patience: object = None) -> None:
        """Nothing is opened."""

    def bound(self, portal: object) -> None:
        """Nothing is."""


class Scene:
    """A server that runs one configuration after the other."""

    def __init__(self) -> None:
        executor = ImmediateExecutor()
        state = MemoryStateStore()
        self.disks = Disks(state, executor)
        engine = cast(Any, SimpleNamespace(workers=executor))
        directory = Directory(Authentication(), Offers())
        self.reconciler = Reconciler(
            engine, directory, self.disks, cast(Any, Portals()), PortIdentifiers(state), default_portals=()
        )
        self.configuration = Configuration()

    async def run(self, *groups: AluaGroup, luns: dict[int, str]) -> None:
        """One backstore with `groups`, and for each tag a portal group with a LUN in the group of that name."""
        store = Backstore(key=KEY, size=1 << 20, unit_serial="1", alua_groups=groups)
        portal_groups = tuple(
            PortalGroup(tag=tag, luns=(Lun(number=0, backstore=KEY, alua_group=name),) if name else ())
            for tag, name in luns.items()
        )
        wanted = Configuration(backstores={KEY: store}, targets={NAME: Target(name=NAME, portal_groups=portal_groups)})
        await self.reconciler.apply(diff(self.configuration, wanted), [])
        self.configuration = wanted

    @property
    def unit(self) -> LogicalUnit:
        """The disk."""
        unit = self.disks.unit(KEY)
        assert unit is not None
        return unit

    def tags(self, alua_group_id: int) -> list[int]:
        """The portal groups that are target ports in a target port group of the disk."""
        group = self.unit.alua.find(alua_group_id)
        assert group is not None
        members = self.unit.alua.members(group)
        running = self.reconciler.groups.items()
        return sorted(tag for (_, tag), one in running if one.group.relative_target_port_id in members)


async def test_ports_are_in_the_groups_that_their_luns_name() -> None:
    """A LUN that moves to another group takes its port along; one that goes takes its port away."""
    scene = Scene()
    near, far = AluaGroup(name="near", alua_group_id=1), AluaGroup(name="far", alua_group_id=2)
    await scene.run(near, far, luns={1: "near", 2: "far", 3: "default_tg_pt_gp"})
    assert [scene.tags(number) for number in (0, 1, 2)] == [[3], [1], [2]]
    await scene.run(near, far, luns={1: "far", 2: "far", 3: ""})
    assert [scene.tags(number) for number in (0, 1, 2)] == [[], [], [1, 2]]
    await scene.run(near, far, luns={1: "near"})
    assert [scene.tags(number) for number in (0, 1, 2)] == [[], [1], []]


async def test_groups_change_while_the_disk_is_in_use() -> None:
    """New groups are there at once, and a state that the operator changes is set."""
    scene = Scene()
    await scene.run(luns={1: "default_tg_pt_gp"})
    assert scene.tags(0) == [1]
    await scene.run(AluaGroup(name="far", alua_group_id=2), luns={1: "far"})
    assert scene.tags(2) == [1]
    standby = AluaGroup(name="far", alua_group_id=2, parameters={"alua_access_state": 2})
    await scene.run(standby, luns={1: "far"})
    (running,) = scene.reconciler.groups.values()
    assert scene.unit.alua.state_of(running.group.relative_target_port_id) is AluaAccessState.STANDBY
