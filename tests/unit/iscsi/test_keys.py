import dataclasses

import pytest

from isthmus.iscsi.keys import (
    KEYS,
    RESERVED_VALUES,
    Binary,
    Boolean,
    Irrelevance,
    ListOfValues,
    Number,
    Phase,
    ResultFunction,
    Scope,
    Senders,
    Text,
    TextKey,
    Use,
)
from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters
from isthmus.iscsi.text_format import TextViolation

# RFC 7143 §13, one line a key: section, use, senders, scope, default, result function.
RFC_7143 = """
HeaderDigest              13.1   IO   BOTH       CO  None     FIRST_IN_LIST
DataDigest                13.1   IO   BOTH       CO  None     FIRST_IN_LIST
MaxConnections            13.2   LO   BOTH       SW  1        MINIMUM
SendTargets               13.3   FFPO INITIATOR  SW  -        REQUEST
TargetName                13.4   IO   INITIATOR  SW  -        DECLARATIVE
InitiatorName             13.5   IO   INITIATOR  SW  -        DECLARATIVE
TargetAlias               13.6   ALL  TARGET     SW  -        DECLARATIVE
InitiatorAlias            13.7   ALL  INITIATOR  SW  -        DECLARATIVE
TargetAddress             13.8   ALL  TARGET     SW  -        DECLARATIVE
TargetPortalGroupTag      13.9   IO   TARGET     SW  -        DECLARATIVE
InitialR2T                13.10  LO   BOTH       SW  Yes      OR
ImmediateData             13.11  LO   BOTH       SW  Yes      AND
MaxRecvDataSegmentLength  13.12  ALL  BOTH       CO  8192     DECLARATIVE
MaxBurstLength            13.13  LO   BOTH       SW  262144   MINIMUM
FirstBurstLength          13.14  LO   BOTH       SW  65536    MINIMUM
DefaultTime2Wait          13.15  LO   BOTH       SW  2        MAXIMUM
DefaultTime2Retain        13.16  LO   BOTH       SW  20       MINIMUM
MaxOutstandingR2T         13.17  LO   BOTH       SW  1        MINIMUM
DataPDUInOrder            13.18  LO   BOTH       SW  Yes      OR
DataSequenceInOrder       13.19  LO   BOTH       SW  Yes      OR
ErrorRecoveryLevel        13.20  LO   BOTH       SW  0        MINIMUM
SessionType               13.21  LO   INITIATOR  SW  Normal   DECLARATIVE
TaskReporting             13.23  LO   BOTH       SW  RFC3720  FIRST_IN_LIST
iSCSIProtocolLevel        13.24  LO   BOTH       SW  1        MINIMUM
X-NodeArchitecture        13.26  LO   BOTH       SW  -        DECLARATIVE
"""
ROWS = [line.split() for line in RFC_7143.split("\n") if line]

IRRELEVANT_IN_DISCOVERY = {
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "TaskReporting",
    "iSCSIProtocolLevel",
}
RANGES = {
    "MaxConnections": (1, 65535),
    "MaxRecvDataSegmentLength": (512, 16777215),
    "MaxBurstLength": (512, 16777215),
    "FirstBurstLength": (512, 16777215),
    "DefaultTime2Wait": (0, 3600),
    "DefaultTime2Retain": (0, 3600),
    "MaxOutstandingR2T": (1, 65535),
    "ErrorRecoveryLevel": (0, 2),
    "iSCSIProtocolLevel": (0, 31),
    "TargetPortalGroupTag": (0, 65535),
    "CHAP_I": (0, 255),
}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_key_is_what_the_rfc_says(row: list[str]) -> None:
    """Section, use, senders, scope, default and result function, each as in RFC 7143 §13."""
    key = KEYS[row[0]]
    senders = next(name for name in ("BOTH", "INITIATOR", "TARGET") if key.senders == Senders[name])
    assert row[1:] == [key.section, key.use.value, senders, key.scope.value, key.default or "-", key.result.name]


def test_the_table_has_these_keys_and_no_others() -> None:
    """Those of §13, the obsolete ones, and those of authentication by CHAP."""
    obsolete = {"IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt"}
    authentication = {"AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"}
    assert set(KEYS) == {row[0] for row in ROWS} | obsolete | authentication
    assert {name for name, key in KEYS.items() if key.result is ResultFunction.OBSOLETE} == obsolete
    assert {name for name, key in KEYS.items() if key.phases == Phase.SECURITY} == authentication


def test_the_ranges_are_the_rfcs() -> None:
    """Both ends of every number."""
    ranges = {name: (key.value.low, key.value.high) for name, key in KEYS.items() if isinstance(key.value, Number)}
    assert ranges == RANGES


def test_what_a_discovery_session_has_no_use_for() -> None:
    """The rows "Irrelevant when: SessionType=Discovery", and FirstBurstLength without unsolicited data (RFC 7143 §13.14)."""
    irrelevant = {name for name, key in KEYS.items() if Irrelevance.DISCOVERY_SESSION in key.irrelevant}
    assert irrelevant == IRRELEVANT_IN_DISCOVERY
    unsolicited = {name for name, key in KEYS.items() if Irrelevance.NO_UNSOLICITED_DATA in key.irrelevant}
    assert unsolicited == {"FirstBurstLength"}


def test_the_security_stage_has_few_keys() -> None:
    """Names, aliases, addresses and tags, and the keys of authentication (RFC 7143 §12)."""
    names = {name for name, key in KEYS.items() if Phase.SECURITY in key.phases and key.default != "8192"}
    assert names == {
        *("AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R", "SessionType", "InitiatorName", "TargetName"),
        *("TargetAddress", "InitiatorAlias", "TargetAlias", "TargetPortalGroupTag", "X-NodeArchitecture"),
    }


def test_full_feature_phase_has_the_keys_of_use_all_and_its_own() -> None:
    """A key of any other use is settled once login is over (RFC 7143 §13)."""
    later = {key.use for key in KEYS.values() if Phase.FULL_FEATURE in key.phases}
    assert later == {Use.ALL, Use.FULL_FEATURE_PHASE_ONLY}
    assert all(Phase.FULL_FEATURE in key.phases for key in KEYS.values() if key.use in later)


@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.default is not None], ids=lambda key: key.name)
def test_a_default_is_a_value_of_its_key(key: TextKey) -> None:
    """It can be read, and is written as it was."""
    assert key.default is not None
    assert key.value.encode(key.value.parse(key.default)) == key.default


def test_every_parameter_is_settled_by_one_key() -> None:
    """Offers and results have a field for each negotiated key, with its default; nothing is typed twice."""
    parameters = {key.parameter: key for key in KEYS.values() if key.parameter}
    how_to_negotiate = {"keys_workaround"}
    assert set(parameters) == {field.name for field in dataclasses.fields(Offers)} - how_to_negotiate
    assert {key.name for key in KEYS.values() if key.is_negotiated} <= {key.name for key in parameters.values()}
    for field in dataclasses.fields(SessionParameters):
        key = parameters[field.name]
        assert key.scope is Scope.SESSION_WIDE
        assert key.value.encode(field.default) == key.default
    assert not ConnectionParameters().header_digest
    assert str(ConnectionParameters().max_xmit_data_segment_length) == KEYS["MaxRecvDataSegmentLength"].default


@pytest.mark.parametrize(
    "key", [key for key in KEYS.values() if isinstance(key.value, Number)], ids=lambda key: key.name
)
def test_a_number_outside_its_range_cannot_be_read(key: TextKey) -> None:
    """The ends are in, what is beyond them is out."""
    assert isinstance(key.value, Number)
    low, high = key.value.low, key.value.high
    assert [key.value.parse(str(low)), key.value.parse(hex(high))] == [low, high]
    for text in (str(high + 1), str(low - 1)):
        with pytest.raises(TextViolation):
            key.value.parse(text)


def test_each_form_of_value_writes_what_it_reads() -> None:
    """Booleans, lists, and texts up to 255 bytes."""
    assert Boolean().encode(Boolean().parse("No")) == "No"
    values = ListOfValues(("A", "B"))
    assert values.encode(values.parse("B,C")) == "B,C"
    assert values.encode("B") == "B"
    assert Text().encode(Text().parse("ä" * 127)) == "ä" * 127
    with pytest.raises(TextViolation, match="255"):
        Text().parse("ä" * 128)
    assert Binary().parse("0x" + "00" * 1024)


def test_reserved_values_are_answers() -> None:
    """The three of RFC 7143 §6.2; None is a value like any other."""
    assert {"Irrelevant", "NotUnderstood", "Reject"} == RESERVED_VALUES
