"""The command table: the rows of a device type, found by opcode and service action (SPC-5 §6.34)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from isthmus.scsi.copy.commands import ROWS as COPY_ROWS
from isthmus.scsi.mmc.commands import ROWS as MMC_ROWS
from isthmus.scsi.opcodes import VARIABLE_LENGTH, CommandDescriptor, service_action_of
from isthmus.scsi.sbc.commands import ROWS as SBC_ROWS
from isthmus.scsi.sbc.medium_commands import ROWS as MEDIUM_ROWS
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.commands import ROWS as SPC_ROWS
from isthmus.scsi.spc.service_commands import ROWS as SERVICE_ROWS

__all__ = ["DISK_COMMANDS", "DRIVE_COMMANDS", "CommandTable"]


class CommandTable:
    """What a logical unit can do. Dispatch and REPORT SUPPORTED OPERATION CODES both read it."""

    def __init__(self, rows: Iterable[CommandDescriptor]) -> None:
        self._rows = tuple(sorted(rows, key=lambda row: (row.opcode, row.service_action or 0)))
        self._reduced: dict[str, CommandTable] = {}
        self._plain: dict[int, CommandDescriptor] = {}
        self._actions: dict[int, dict[int, CommandDescriptor]] = {}
        for row in self._rows:
            self._add(row)

    def _add(self, row: CommandDescriptor) -> None:
        if row.service_action is None:
            taken = row.opcode in self._plain or row.opcode in self._actions
            self._plain[row.opcode] = row
        else:
            actions = self._actions.setdefault(row.opcode, {})
            taken = row.service_action in actions or row.opcode in self._plain
            actions[row.service_action] = row
        if taken:
            raise ValueError(f"{row.name} is in the command table twice")

    def __iter__(self) -> Iterator[CommandDescriptor]:
        """Every row, by opcode and service action."""
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def without_discard(self) -> "CommandTable":
        """The table of a unit whose backstore cannot give room back."""
        return self._without("discard", lambda row: row.needs_discard)

    def without_encryption(self) -> "CommandTable":
        """The table of a unit whose backstore does not encrypt."""
        return self._without("encryption", lambda row: row.needs_encryption)

    def without_atomic_writes(self) -> "CommandTable":
        """The table of a unit that cannot promise that a write is whole after a crash."""
        return self._without("atomic writes", lambda row: row.needs_atomic_writes)

    def without_copies(self) -> "CommandTable":
        """The table of a unit that takes no part in third-party copies."""
        return self._without("copies", lambda row: row.needs_copy_manager)

    def _without(self, what: str, goes: Callable[[CommandDescriptor], bool]) -> "CommandTable":
        """Made once: thousands of units share it."""
        if what not in self._reduced:
            self._reduced[what] = CommandTable(row for row in self._rows if not goes(row))
        return self._reduced[what]

    def find(self, cdb: bytes) -> CommandDescriptor:
        """The row for `cdb`; raises `CheckCondition` for an opcode or a service action that is not in the table."""
        row = self._plain.get(cdb[0])
        if row is not None:
            return row
        actions = self._actions.get(cdb[0])
        if actions is None:
            raise CheckCondition(Sense.INVALID_COMMAND_OPERATION_CODE, field=FieldPointer(0))
        return self._find_action(actions, cdb)

    def _find_action(self, actions: dict[int, CommandDescriptor], cdb: bytes) -> CommandDescriptor:
        row = actions.get(service_action_of(cdb))
        if row is None:
            field = FieldPointer(8, 7) if cdb[0] == VARIABLE_LENGTH else FieldPointer(1, 4)
            raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=field)
        return row

    def lookup(self, opcode: int, service_action: int | None = None) -> CommandDescriptor | None:
        """The row of a command by its numbers, or None (REPORT SUPPORTED OPERATION CODES)."""
        if service_action is None:
            return self._plain.get(opcode)
        return self._actions.get(opcode, {}).get(service_action)

    def has_service_actions(self, opcode: int) -> bool:
        """Whether `opcode` is in the table with service actions."""
        return opcode in self._actions


DISK_COMMANDS: Final = CommandTable((*SPC_ROWS, *SBC_ROWS, *COPY_ROWS, *MEDIUM_ROWS, *SERVICE_ROWS))
"""What a disk can do (SBC-4 table 31)."""
DRIVE_COMMANDS: Final = CommandTable((*SPC_ROWS, *MMC_ROWS, *SERVICE_ROWS))
"""What a drive for CDs and DVDs can do that does not write (MMC-6 §6)."""
