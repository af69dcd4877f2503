"""Three initiators that share a disk and reserve it."""

import struct
from typing import Any

from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response
from tests.support.primary import data_of, reserve_in, reserve_out, reserve_out_list
from tests.support.scsi import Bench

__all__ = ["KEY_A", "KEY_B", "KEY_C", "SharedDisk", "initiator_device_id", "move_list", "specified_ports_list"]

KEY_A, KEY_B, KEY_C = 0xA, 0xB, 0xC


def specified_ports_list(key: int, action_key: int, *transport_ids: bytes, flags: int = 0, length: int = -1) -> bytes:
    """The parameter list of REGISTER with SPEC_I_PT; `length` is that of the TransportIDs if it is to be wrong."""
    data = b"".join(transport_ids)
    return reserve_out_list(key, action_key, 0x08 | flags) + (len(data) if length < 0 else length).to_bytes(4) + data


def move_list(
    key: int, action_key: int, transport_id: bytes, *, port: int = 1, flags: int = 0, length: int = -1
) -> bytes:
    """The parameter list of REGISTER AND MOVE; `length` likewise."""
    size = len(transport_id) if length < 0 else length
    return struct.pack(">QQxBHI", key, action_key, flags, port, size) + transport_id


def initiator_device_id(iscsi_name: str) -> bytes:
    """A TransportID of format 00b."""
    name = iscsi_name.encode() + b"\0"
    name = (name + bytes(-len(name) % 4)).ljust(20, b"\0")
    return struct.pack(">BxH", 0x05, len(name)) + name


class SharedDisk:
    """Nexuses `a`, `b` and `c` reach one unit; `_out` methods give responses, the others give facts."""

    def __init__(self, **bench: Any) -> None:
        self.bench = Bench(**bench)
        self.a = self.bench.nexus
        self.b = self.bench.connect(isid=2)
        self.c = self.bench.connect(isid=3)

    def connect_elsewhere(self, nexus: Nexus, *, port: int) -> Nexus:
        """The same initiator port at another target port, with its unit attentions heard."""
        other = Nexus(
            initiator_name=nexus.initiator_name,
            isid=nexus.isid,
            target_name=nexus.target_name,
            target_portal_group_tag=port,
            relative_target_port_id=port,
            mappings={0: LunMapping(self.bench.unit)},
        )
        self.bench.router.nexus_established(other)
        self.bench.unit.unit_attentions.clear(other)
        return other

    def out(
        self,
        nexus: Nexus,
        action: ReserveOutAction,
        reservation_type: ReservationType | int = 0,
        *,
        key: int = 0,
        action_key: int = 0,
        scope: int = 0,
        flags: int = 0,
    ) -> Response:
        """PERSISTENT RESERVE OUT through `nexus`."""
        cdb = reserve_out(action, reservation_type, scope=scope)
        return self.bench.run(cdb, reserve_out_list(key, action_key, flags), nexus=nexus)

    def out_with_list(
        self, nexus: Nexus, action: ReserveOutAction, data: bytes, reservation_type: ReservationType | int = 0
    ) -> Response:
        """PERSISTENT RESERVE OUT through `nexus` with a parameter list of any length."""
        return self.bench.run(reserve_out(action, reservation_type, length=len(data)), data, nexus=nexus)

    def register(self, *pairs: tuple[Nexus, int]) -> None:
        """Give each nexus its key, whatever it had."""
        for nexus, key in pairs:
            action = ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY
            assert self.out(nexus, action, action_key=key).status is Status.GOOD

    def register_all(self) -> None:
        """Give `a`, `b` and `c` their keys."""
        self.register((self.a, KEY_A), (self.b, KEY_B), (self.c, KEY_C))

    def reserve(self, nexus: Nexus, key: int, reservation_type: ReservationType) -> None:
        """Take a reservation that is there to be taken."""
        response = self.out(nexus, ReserveOutAction.RESERVE, reservation_type, key=key)
        assert response.status is Status.GOOD

    def keys(self) -> list[int]:
        """READ KEYS."""
        data = data_of(self.bench.run(reserve_in(0)))
        assert int.from_bytes(data[4:8]) == len(data) - 8
        return [key for (key,) in struct.iter_unpack(">Q", data[8:])]

    def generation(self) -> int:
        """PRGENERATION."""
        return int.from_bytes(data_of(self.bench.run(reserve_in(0, 8)))[:4])

    def reservation(self) -> tuple[int, int] | None:
        """READ RESERVATION: key and type, or None if nothing is reserved."""
        data = data_of(self.bench.run(reserve_in(1)))
        assert int.from_bytes(data[4:8]) == len(data) - 8
        if len(data) == 8:
            return None
        key, scope_and_type = struct.unpack(">QxxxxxBxx", data[8:])
        return key, scope_and_type

    def attentions(self) -> tuple[Sense | None, Sense | None, Sense | None]:
        """Take what is pending for `a`, `b` and `c`."""
        take = self.bench.unit.unit_attentions.take
        return take(self.a), take(self.b), take(self.c)
