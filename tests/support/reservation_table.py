"""What the standards let through beside somebody else's reservation (SPC-5 table 65, SBC-4 table 13, SPC-2 table 9).

Written down from the tables of the standards, not from the command table that it is compared with. In the tables of SPC-5
and SBC-4 every command is of one of three kinds, whoever sends it and whatever the type of the reservation.
"""

import re

from isthmus.scsi.opcodes import CommandDescriptor

__all__ = ["ALLOWED", "ALLOWED_BESIDE_SPC2", "CONFLICT", "CONFLICT_WITH_EXCLUSIVE_ACCESS", "name_in_the_standard"]

ALLOWED = {
    "INQUIRY",
    "LOG SENSE",
    "PERSISTENT RESERVE IN",
    "READ CAPACITY",
    "READ MEDIA SERIAL NUMBER",
    "RECEIVE COPY DATA",
    "RECEIVE COPY FAILURE DETAILS",
    "RECEIVE COPY OPERATING PARAMETERS",
    "RECEIVE COPY RESULTS",
    "RECEIVE COPY STATUS",
    "RECEIVE ROD TOKEN INFORMATION",
    "REPORT ALIASES",
    "REPORT ALL ROD TOKENS",
    "REPORT IDENTIFYING INFORMATION",
    "REPORT LUNS",
    "REPORT PRIORITY",
    "REPORT PROVISIONING INITIALIZATION PATTERN",
    "REPORT REFERRALS",
    "REPORT TARGET PORT GROUPS",
    "REPORT TIMESTAMP",
    "REQUEST SENSE",
    "TEST UNIT READY",
}
"""Whatever is reserved."""
CONFLICT_WITH_EXCLUSIVE_ACCESS = {
    "GET LBA STATUS",
    "GET PHYSICAL ELEMENT STATUS",
    "GET STREAM STATUS",
    "MODE SENSE",
    "POPULATE TOKEN",
    "PRE-FETCH",
    "READ",
    "READ BUFFER",
    "READ DEFECT DATA",
    "RECEIVE DIAGNOSTIC RESULTS",
    "REPORT SUPPORTED OPERATION CODES",
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
    "SECURITY PROTOCOL IN",
    "VERIFY",
}
"""Allowed beside the write exclusive types only."""
CONFLICT = {
    "BACKGROUND CONTROL",
    "CHANGE ALIASES",
    "COMPARE AND WRITE",
    "COPY OPERATION ABORT",
    "EXTENDED COPY",
    "FORMAT UNIT",
    "FORMAT WITH PRESET",
    "LOG SELECT",
    "MODE SELECT",
    "ORWRITE",
    "PREVENT ALLOW MEDIUM REMOVAL",  # with PREVENT other than 0; see `test_fields_decide`
    "REASSIGN BLOCKS",
    "SANITIZE",
    "SECURITY PROTOCOL OUT",
    "SEND DIAGNOSTIC",
    "SET IDENTIFYING INFORMATION",
    "SET PRIORITY",
    "SET TARGET PORT GROUPS",
    "SET TIMESTAMP",
    "START STOP UNIT",  # with START 0 or a power condition; see `test_fields_decide`
    "STREAM CONTROL",
    "SYNCHRONIZE CACHE",
    "UNMAP",
    "WRITE",
    "WRITE AND VERIFY",
    "WRITE ATOMIC",
    "WRITE BUFFER",
    "WRITE LONG",
    "WRITE SAME",
    "WRITE SCATTERED",
    "WRITE STREAM",
    "WRITE USING TOKEN",
}
"""Beside every type."""
ALLOWED_BESIDE_SPC2 = {
    "INQUIRY",
    "LOG SENSE",
    "READ CAPACITY",
    "RELEASE",
    "REPORT IDENTIFYING INFORMATION",
    "REPORT LUNS",
    "REQUEST SENSE",
}
"""Runs although another initiator has reserved the unit by RESERVE."""


def name_in_the_standard(row: CommandDescriptor) -> str:
    """The name without the length of its CDB, its list identifier and its service action."""
    return re.sub(r" ?(\(\w+\))?(,.*)?$", "", row.name)
