"""PDUs of every kind with any values that their fields can hold."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

from isthmus.iscsi import pdu
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import PDU_CLASSES, AsyncMessage, Pdu, Reject, ScsiCommand

__all__ = ["any_pdu", "pdus_of"]

_BITS = {
    "lun": 64,
    "isid": 48,
    "tsih": 16,
    "cid": 16,
    "status": 8,
    "response": 8,
    "reason": 7,
    "function": 7,
    "snack_type": 4,
    "attribute": 3,
    "current_stage": 2,
    "next_stage": 2,
    "version_max": 8,
    "version_min": 8,
    "version_active": 8,
    "time2wait": 16,
    "time2retain": 16,
    "async_event": 8,
    "async_vcode": 8,
    "parameter1": 16,
    "parameter2": 16,
    "parameter3": 16,
}


def pdus_of(kind: type[Pdu]) -> st.SearchStrategy[Pdu]:
    """PDUs of one class."""
    fields = {field.name: _values(kind, field) for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields).map(_in_the_form_of_the_wire)


def any_pdu() -> st.SearchStrategy[Pdu]:
    """PDUs of every class."""
    return st.one_of([pdus_of(kind) for kind in PDU_CLASSES.values()])


def _values(kind: type[Pdu], field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    if field.name == "data_segment":
        return st.binary(max_size=40)
    if field.name == "cdb":
        return st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=20, max_size=260).map(_whole_words))
    if field.name == "bidirectional_read_data_length":
        return st.none() | st.integers(0, 0xFFFF_FFFF)
    if field.type is bool:
        return st.booleans()
    bits = 16 if (kind, field.name) == (pdu.LoginResponse, "status") else _BITS.get(field.name, 32)
    if kind is Reject and field.name == "reason":
        bits = 8
    return st.integers(0, (1 << bits) - 1)


def _whole_words(cdb: bytes) -> bytes:
    return cdb[: len(cdb) & ~3]


def _in_the_form_of_the_wire(value: Pdu) -> Pdu:
    """Fields that a PDU's header has no room for, or only under a condition."""
    if isinstance(value, pdu.LoginRequest | pdu.LoginResponse) and not value.transit:
        value.next_stage = 0
    if isinstance(value, AsyncMessage | Reject):
        value.initiator_task_tag = RESERVED_TAG
    if isinstance(value, ScsiCommand):
        value.data_segment = bytes(value.data_segment)
    return value
