"""What requests for one thing are made of. Rules are not here: the edits in `management` have them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from isthmus.server.disks import LostReservations

__all__ = [
    "AclEdit",
    "AclTag",
    "BackstoreEdit",
    "BackstoreStart",
    "ChapEdit",
    "DiscoveryEdit",
    "GroupEdit",
    "InitiatorGroupEdit",
    "NewAcl",
    "NewBackstore",
    "NewGroup",
    "NewInitiatorGroup",
    "NewLun",
    "NewMappedLun",
    "NewPortal",
    "NewTarget",
]

Settings = Annotated[dict[str, int | str], Field(description="By LIO's names; what is left out stays.")]
Secret = Annotated[str | None, Field(json_schema_extra={"writeOnly": True}, description="Empty: none any more.")]
Patterns = Annotated[
    list[Annotated[str, Field(max_length=300)]],
    Field(description="Names; * stands for any characters, ? for one; a leading ! matches what the rest does not."),
]
TargetName = Annotated[str, Field(max_length=223, description="iqn.…, eui.… or naa.…")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChapEdit(_Body):
    """CHAP names and secrets; what is left out stays."""

    userid: str | None = None
    password: Secret = None
    mutual_userid: str | None = None
    mutual_password: Secret = None

    def values(self) -> dict[str, str]:
        """Those that are given."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class BackstoreStart(_Body):
    """How to start a backstore that does not run."""

    lost_reservations: Annotated[
        LostReservations,
        Field(
            description="If the record of its persistent reservations is damaged: refuse to start it; have initiators "
            "replace them before it serves anybody; or forget them."
        ),
    ] = LostReservations.REFUSE


class NewBackstore(_Body):
    """Storage to be served."""

    kind: Annotated[str, Field(description="fileio, block, ramdisk, …")]
    name: str
    path: str = ""
    size: Annotated[int | None, Field(gt=0, lt=1 << 63, description="Bytes; left out: what is there.")] = None
    write_back: bool | None = None
    read_only: bool = False
    serial: Annotated[str, Field(max_length=254, description="Left out: one is made up.")] = ""
    attributes: Settings = {}
    options: Annotated[dict[str, Any], Field(description="What only this kind has.")] = {}


class BackstoreEdit(_Body):
    """What is to be other about a backstore."""

    path: Annotated[str | None, Field(description="What is in a drive from now on; empty: nothing.")] = None
    size: Annotated[int | None, Field(gt=0, lt=1 << 63, description="Bytes.")] = None
    attributes: Settings = {}


class NewTarget(_Body):
    """A target, with portal group 1."""

    name: TargetName
    default_portal: Annotated[bool, Field(description="Listen on every address until a portal is created.")] = True


class NewGroup(_Body):
    """A portal group."""

    tag: Annotated[int | None, Field(description="Left out: the next free one.")] = None


class GroupEdit(_Body):
    """What is to be other about a portal group."""

    enable: bool | None = None
    attributes: Settings = {}
    parameters: Settings = {}
    chap: ChapEdit = ChapEdit()


class NewPortal(_Body):
    """An address to listen on."""

    address: str
    port: int = 3260


class NewLun(_Body):
    """A backstore as a LUN."""

    backstore: Annotated[str, Field(description="/backstores/KIND/NAME")]
    lun: Annotated[int | None, Field(description="Left out: the lowest free number.")] = None
    map_for_all: Annotated[bool, Field(description="Every node ACL gets it.")] = True


class NewAcl(_Body):
    """An initiator that may log in."""

    initiator: TargetName
    map_all: Annotated[bool, Field(description="It sees every LUN of the group.")] = True


class AclEdit(_Body):
    """What is to be other about a node ACL."""

    tag: Annotated[str | None, Field(description="A label; empty: none.")] = None
    attributes: Settings = {}
    chap: ChapEdit = ChapEdit()


class AclTag(_Body):
    """A tag for node ACLs."""

    who: Annotated[str, Field(description="The initiator, or the tag that initiators have.")]
    tag: Annotated[str, Field(description="Theirs from now on.")]


class NewMappedLun(_Body):
    """A LUN of the group for one initiator."""

    tpg_lun: int
    lun: Annotated[int | None, Field(description="Left out: the same number.")] = None
    read_only: bool = False


class NewInitiatorGroup(_Body):
    """Initiators that may log in and see the same LUNs."""

    name: str
    initiators: Patterns = []


class InitiatorGroupEdit(_Body):
    """What is to be other about an initiator group."""

    initiators: Annotated[Patterns | None, Field(description="Left out: as they are.")] = None
    attributes: Settings = {}


class DiscoveryEdit(_Body):
    """What is to be other about discovery."""

    enable: bool | None = None
    chap: ChapEdit = ChapEdit()
