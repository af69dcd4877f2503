import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.keys import KEYS, Irrelevance, Phase, ResultFunction, TextKey, Use
from isthmus.iscsi.negotiation import (
    Negotiation,
    NegotiationViolation,
    Role,
    combine,
    is_admissible,
    refuse_repeated_keys,
)
from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters
from isthmus.iscsi.text_format import MAX_KEYS, Pair, TextViolation
from tests.support.negotiating import OFFERS, Ends, negotiate, receive

NEGOTIATED = [key for key in KEYS.values() if key.is_negotiated]
NUMBERS = [key for key in NEGOTIATED if key.result in {ResultFunction.MINIMUM, ResultFunction.MAXIMUM}]


def target(**offers: object) -> Negotiation:
    """The target's end of a leading connection's login."""
    return Negotiation(Role.TARGET, Offers(**offers))  # type: ignore[arg-type]


def initiator(**offers: object) -> Negotiation:
    """The initiator's end."""
    return Negotiation(Role.INITIATOR, Offers(**offers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "table"),
    [
        (ResultFunction.AND, {(True, True): True, (True, False): False, (False, True): False, (False, False): False}),
        (ResultFunction.OR, {(True, True): True, (True, False): True, (False, True): True, (False, False): False}),
        (ResultFunction.MINIMUM, {(1, 2): 1, (2, 1): 1, (2, 2): 2}),
        (ResultFunction.MAXIMUM, {(1, 2): 2, (2, 1): 2, (2, 2): 2}),
    ],
)
def test_result_functions(function: ResultFunction, table: dict[tuple[int, int], int]) -> None:
    """The functions of RFC 7143 §6.2.2, all their rows."""
    assert {pair: combine(function, *pair) for pair in table} == table


def test_the_first_value_of_the_offer_that_the_responder_takes() -> None:
    """The originator's order counts, the responder's does not (RFC 7143 §6.2.1)."""
    choose = ResultFunction.FIRST_IN_LIST
    assert combine(choose, ["CRC32C", "None"], ("None", "CRC32C")) == "CRC32C"
    assert combine(choose, ["X-own", "None"], ("None", "CRC32C")) == "None"
    assert combine(choose, ["CRC32C"], ("None",)) is None


@pytest.mark.parametrize("function", [ResultFunction.DECLARATIVE, ResultFunction.REQUEST, ResultFunction.OBSOLETE])
def test_what_is_not_negotiated_has_no_result(function: ResultFunction) -> None:
    """Asking for one is a slip of ours."""
    with pytest.raises(ValueError, match="not a result function"):
        combine(function, 1, 1)


@pytest.mark.parametrize("function", [ResultFunction.AND, ResultFunction.OR])
@pytest.mark.parametrize("offered", [True, False])
def test_an_admissible_boolean_is_one_that_some_wish_results_in(function: ResultFunction, offered: bool) -> None:
    """Exactly the results of all possible wishes are admissible."""
    possible = {combine(function, offered, wish) for wish in (True, False)}
    assert {answer for answer in (True, False) if is_admissible(function, offered, answer)} == possible


@given(st.integers(0, 99), st.integers(0, 99))
def test_an_admissible_number_is_not_beyond_the_offer(offered: int, answer: int) -> None:
    """A minimum cannot grow, a maximum cannot shrink."""
    assert is_admissible(ResultFunction.MINIMUM, offered, answer) is (answer <= offered)
    assert is_admissible(ResultFunction.MAXIMUM, offered, answer) is (answer >= offered)


def test_an_admissible_choice_is_one_value_of_the_offer() -> None:
    """Selecting what was not proposed is a violation (RFC 7143 §6.2.1)."""
    offered = ["None", "CRC32C"]
    assert is_admissible(ResultFunction.FIRST_IN_LIST, offered, ["CRC32C"])
    assert not is_admissible(ResultFunction.FIRST_IN_LIST, offered, ["CRC32C", "None"])
    assert not is_admissible(ResultFunction.FIRST_IN_LIST, offered, ["CRC64"])


# -- Both ends -------------------------------------------------------------------------------------------------------


@given(initiators=OFFERS, targets=OFFERS, discovery=st.booleans(), data=st.data())
def test_both_ends_come_to_the_same_results(
    initiators: Offers, targets: Offers, discovery: bool, data: st.DataObject
) -> None:
    """Whatever either wishes, whichever keys the initiator brings up, in any order."""
    ends = Ends.of(initiators, targets, discovery=discovery)
    wishes = data.draw(st.permutations(ends.initiator.wishes()).flatmap(lambda all_of: st.just(all_of) | _some(all_of)))
    negotiate(ends, wishes)
    assert ends.initiator.session_parameters() == ends.target.session_parameters()
    ours, theirs = ends.target.connection_parameters(), ends.initiator.connection_parameters()
    assert (ours.header_digest, ours.data_digest) == (theirs.header_digest, theirs.data_digest)
    assert ours.max_recv_data_segment_length == theirs.max_xmit_data_segment_length
    assert ours.max_xmit_data_segment_length == theirs.max_recv_data_segment_length


def _some(wishes: list[Pair]) -> st.SearchStrategy[list[Pair]]:
    return st.integers(0, len(wishes)).map(lambda count: wishes[:count])


@given(initiators=OFFERS, targets=OFFERS)
def test_no_result_is_more_than_either_end_wishes(initiators: Offers, targets: Offers) -> None:
    """Every result is the table's function of the two wishes, and no first burst is longer than a burst."""
    ends = Ends.of(initiators, targets)
    negotiate(ends, ends.initiator.wishes())
    results = ends.target.session_parameters()
    assert results.first_burst_length <= results.max_burst_length
    for key in NEGOTIATED:
        if key.use is Use.LEADING_ONLY and key.name != "FirstBurstLength":
            own, other = getattr(targets, key.parameter), getattr(initiators, key.parameter)
            assert getattr(results, key.parameter) == combine(key.result, other, own), key.name


@given(targets=OFFERS)
def test_a_silent_initiator_gets_nothing_that_the_target_does_not_wish(targets: Offers) -> None:
    """The target brings up itself what the defaults would exceed; the initiator's own wishes are the defaults."""
    ends = Ends.of(Offers(max_connections=65535, max_outstanding_r2t=65535, iscsi_protocol_level=31), targets)
    negotiate(ends, [])
    results = ends.initiator.session_parameters()
    assert results == ends.target.session_parameters()
    assert results.max_burst_length <= targets.max_burst_length
    assert results.default_time2wait >= targets.default_time2wait
    assert results.default_time2retain <= targets.default_time2retain
    assert targets.immediate_data or not results.immediate_data


# -- Answers ---------------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_offers() -> None:
    """A trace reads side by side, whatever order the results need."""
    answers = receive(
        target(max_burst_length=65536),
        ("FirstBurstLength", "262144"),
        ("MaxRecvDataSegmentLength", "8192"),
        ("X-com.example.key", "1"),
        ("MaxBurstLength", "1048576"),
    )
    assert answers == [
        ("FirstBurstLength", "65536"),
        ("X-com.example.key", "NotUnderstood"),
        ("MaxBurstLength", "65536"),
    ]


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: key.name)
@pytest.mark.parametrize("text", ["-1", "65536000000", "many", "", "0x"])
def test_a_number_that_cannot_be_is_rejected(key: TextKey, text: str) -> None:
    """Reject leaves the key at its default (RFC 7143 §6.2.2)."""
    end = target()
    before = end.session_parameters()
    assert receive(end, (key.name, text)) == [(key.name, "Reject")]
    assert end.session_parameters() == before


@pytest.mark.parametrize("name", ["InitialR2T", "ImmediateData", "DataPDUInOrder", "DataSequenceInOrder"])
def test_a_boolean_that_cannot_be_is_rejected(name: str) -> None:
    """Only Yes and No are booleans."""
    assert receive(target(), (name, "yes")) == [(name, "Reject")]


def test_a_list_without_a_value_that_is_taken_is_rejected() -> None:
    """Nothing is chosen that was not proposed (RFC 7143 §6.2.1)."""
    assert receive(target(header_digest=("None",)), ("HeaderDigest", "CRC32C")) == [("HeaderDigest", "Reject")]


@pytest.mark.parametrize("name", ["IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt"])
def test_obsolete_keys_are_rejected(name: str) -> None:
    """And never NotUnderstood (RFC 7143 §13.25)."""
    assert receive(target(), (name, "No")) == [(name, "Reject")]


@pytest.mark.parametrize("name", ["X-com.example.key", "X#key", "RDMAExtensions", "initialr2t", "Y"])
def test_keys_that_nobody_knows_are_not_understood(name: str) -> None:
    """Private keys, keys of other RFCs, keys in another case (RFC 7143 §6.1)."""
    assert receive(target(), (name, "1")) == [(name, "NotUnderstood")]


@pytest.mark.parametrize("key", NEGOTIATED, ids=lambda key: key.name)
def test_irrelevant_keys_of_a_discovery_session(key: TextKey) -> None:
    """They are answered Irrelevant, the others with a result."""
    end = Negotiation(Role.TARGET, Offers(), discovery=True)
    assert key.default is not None
    irrelevant = Irrelevance.DISCOVERY_SESSION in key.irrelevant
    assert receive(end, (key.name, key.default)) == [(key.name, "Irrelevant" if irrelevant else key.default)]


def test_first_burst_length_is_irrelevant_without_unsolicited_data() -> None:
    """InitialR2T=Yes and ImmediateData=No, wherever in the text they stand (RFC 7143 §13.14)."""
    offers = [("FirstBurstLength", "65536"), ("InitialR2T", "Yes"), ("ImmediateData", "No")]
    assert receive(target(), *offers)[0] == ("FirstBurstLength", "Irrelevant")
    assert receive(target(), *offers[:2])[0] == ("FirstBurstLength", "65536")
    assert receive(
        target(initial_r2t=True, immediate_data=False), ("InitialR2T", "No"), ("ImmediateData", "Yes"), offers[0]
    )[2] == ("FirstBurstLength", "Irrelevant")


def test_a_max_burst_length_that_comes_late_bounds_the_first_burst() -> None:
    """FirstBurstLength never exceeds MaxBurstLength (RFC 7143 §13.14)."""
    end = target()
    receive(end, ("FirstBurstLength", "65536"))
    receive(end, ("MaxBurstLength", "1024"))
    assert end.session_parameters().first_burst_length == 1024


@pytest.mark.parametrize("key", [key for key in NEGOTIATED if key.use is Use.LEADING_ONLY], ids=lambda key: key.name)
def test_a_further_connection_cannot_change_the_session(key: TextKey) -> None:
    """Keys of the leading connection stay as it settled them."""
    session = SessionParameters(max_burst_length=1024, first_burst_length=512, max_connections=4)
    end = Negotiation(Role.TARGET, Offers(), leading=False, session=session)
    assert key.default is not None
    assert receive(end, (key.name, key.default)) == [(key.name, "Reject")]
    assert end.session_parameters() == session


def test_a_further_connection_negotiates_its_own_keys() -> None:
    """Digests and segment lengths belong to the connection; nothing else is brought up there."""
    end = Negotiation(Role.INITIATOR, Offers(), leading=False)
    assert {name for name, _ in end.wishes()} == {"HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength"}
    far = Negotiation(Role.TARGET, Offers(max_burst_length=512), leading=False, session=SessionParameters())
    assert far.needs() == []
    receive(far, ("HeaderDigest", "CRC32C"), ("MaxRecvDataSegmentLength", "65536"))
    assert far.connection_parameters() == ConnectionParameters(header_digest=True, max_xmit_data_segment_length=65536)


# -- Declarations ----------------------------------------------------------------------------------------------------


def test_declarations_are_kept_and_not_answered() -> None:
    """The sender's word holds (RFC 7143 §6.2)."""
    end = target()
    assert receive(end, ("InitiatorAlias", "db 1"), ("MaxRecvDataSegmentLength", "0x10000")) == []
    assert end.declared["InitiatorAlias"] == "db 1"
    assert end.connection_parameters().max_xmit_data_segment_length == 65536


@pytest.mark.parametrize("text", ["511", "16777216", "none"])
def test_a_declaration_that_cannot_be_is_a_violation(text: str) -> None:
    """There is no answer that could turn it down."""
    with pytest.raises(TextViolation):
        receive(target(), ("MaxRecvDataSegmentLength", text))


def test_what_this_side_declares_is_what_it_receives() -> None:
    """Undeclared, the default holds, even if this side could take more (RFC 7143 §13.12)."""
    end = target(max_recv_data_segment_length=65536)
    assert end.connection_parameters().max_recv_data_segment_length == 8192
    assert end.own_declarations() == [("MaxRecvDataSegmentLength", "65536")]
    assert end.own_declarations() == []
    assert end.connection_parameters().max_recv_data_segment_length == 65536


# -- Violations ------------------------------------------------------------------------------------------------------


def test_a_key_twice_in_one_text_is_a_violation() -> None:
    """But TargetAddress may come more than once (RFC 7143 §6.3)."""
    for pairs in ([("InitialR2T", "Yes")] * 2, [("X-a", "1"), ("X-a", "2")], [("InitiatorName", "a")] * 2):
        with pytest.raises(NegotiationViolation, match="twice"):
            receive(target(), *pairs)
    refuse_repeated_keys([("TargetAddress", "a"), ("TargetAddress", "b")])
    assert receive(initiator(), ("TargetAddress", "a"), ("TargetAddress", "b")) == []


@pytest.mark.parametrize("name", ["MaxBurstLength", "HeaderDigest", "MaxRecvDataSegmentLength", "X-a", "IFMarker"])
def test_a_key_twice_in_one_login_is_a_violation(name: str) -> None:
    """Renegotiation must be detected (RFC 7143 §6.3)."""
    end = target()
    receive(end, (name, "1024"))
    with pytest.raises(NegotiationViolation, match="again"):
        receive(end, (name, "1024"))


def test_names_may_be_said_again_if_they_stay_the_same() -> None:
    """An initiator in wide use does; another value is a violation."""
    end = target()
    assert receive(end, ("InitiatorName", "iqn.2001-04.com.example"), ("SessionType", "Normal")) == []
    assert receive(end, ("InitiatorName", "iqn.2001-04.com.example"), ("SessionType", "Normal")) == []
    with pytest.raises(NegotiationViolation, match="again"):
        receive(end, ("InitiatorName", "iqn.2001-04.com.example:other"))


@pytest.mark.parametrize("value", ["Reject", "Irrelevant", "NotUnderstood"])
@pytest.mark.parametrize("name", ["MaxBurstLength", "InitiatorName", "AuthMethod", "X-a"])
def test_reserved_values_cannot_be_offered(name: str, value: str) -> None:
    """They are answers only (RFC 7143 §6.2)."""
    with pytest.raises(NegotiationViolation, match="answers nothing"):
        target().receive([(name, value)], Phase.ANY_STAGE)


def test_a_reserved_value_may_answer_a_declaration() -> None:
    """A peer need not know TargetAlias."""
    end = target()
    end.originate([("TargetAlias", "a")])
    assert receive(end, ("TargetAlias", "NotUnderstood")) == []


def test_each_side_sends_its_own_keys() -> None:
    """An initiator has no portal group tag, a target no session type."""
    with pytest.raises(NegotiationViolation, match="not the INITIATOR's"):
        receive(target(), ("TargetPortalGroupTag", "1"))
    with pytest.raises(NegotiationViolation, match="not the TARGET's"):
        receive(initiator(), ("SessionType", "Normal"))


def test_each_stage_has_its_own_keys() -> None:
    """Operational keys are not for the security stage, and the other way round (RFC 7143 §12)."""
    with pytest.raises(NegotiationViolation, match="SECURITY"):
        target().receive([("MaxBurstLength", "512")], Phase.SECURITY)
    with pytest.raises(NegotiationViolation, match="OPERATIONAL"):
        target().receive([("AuthMethod", "None")], Phase.OPERATIONAL)
    with pytest.raises(NegotiationViolation, match="OPERATIONAL"):
        target().receive([("SendTargets", "All")], Phase.OPERATIONAL)


def test_keys_of_authentication_are_handed_on() -> None:
    """They are not negotiated here."""
    received = target().receive([("AuthMethod", "CHAP,None"), ("X-a", "1")], Phase.SECURITY)
    assert received.requests == {"AuthMethod": "CHAP,None"}
    assert received.answers == [("X-a", "NotUnderstood")]


def test_the_number_of_keys_in_a_login_has_a_budget() -> None:
    """However many texts they come in."""
    end = target()
    for number in range(MAX_KEYS):
        receive(end, (f"X-{number}", "1"))
    with pytest.raises(NegotiationViolation, match="keys"):
        receive(end, ("X-more", "1"))


# -- Our own offers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (("InitialR2T", "Yes"), "No"),
        (("ImmediateData", "No"), "Yes"),
        (("MaxBurstLength", "1024"), "2048"),
        (("MaxBurstLength", "1024"), "many"),
        (("MaxBurstLength", "1024"), "511"),
        (("DefaultTime2Wait", "5"), "4"),
        (("HeaderDigest", "None"), "CRC32C"),
        (("HeaderDigest", "None,CRC32C"), "None,CRC32C"),
    ],
)
def test_an_answer_that_no_wish_explains_is_a_violation(offer: Pair, answer: str) -> None:
    """The selection of an inadmissible value is a protocol error (RFC 7143 §6.2.2)."""
    end = initiator()
    end.originate([offer])
    with pytest.raises(NegotiationViolation):
        receive(end, (offer[0], answer))


@pytest.mark.parametrize("answer", ["Reject", "Irrelevant", "NotUnderstood"])
def test_an_offer_that_is_turned_down_leaves_the_default(answer: str) -> None:
    """Both sides go on with the value that held before (RFC 7143 §6.2)."""
    end = initiator()
    end.originate([("MaxBurstLength", "1024")])
    receive(end, ("MaxBurstLength", answer))
    assert not end.unanswered
    end.finish()
    assert end.session_parameters().max_burst_length == 262144


def test_an_offer_is_answered_once() -> None:
    """A second answer is a renegotiation."""
    end = initiator()
    end.originate([("MaxBurstLength", "1024")])
    receive(end, ("MaxBurstLength", "512"))
    with pytest.raises(NegotiationViolation, match="again"):
        receive(end, ("MaxBurstLength", "512"))


def test_an_answer_that_is_owed_is_missed() -> None:
    """A negotiation does not end before every offer has its answer."""
    end = initiator()
    end.originate([("MaxBurstLength", "1024"), ("X-a", "1")])
    assert end.unanswered
    with pytest.raises(NegotiationViolation, match="not answered"):
        end.finish()


def test_a_boolean_that_decides_alone_needs_no_answer() -> None:
    """No to an AND, Yes to an OR: the answer is optional (RFC 7143 §6.2.2)."""
    end = initiator()
    end.originate([("ImmediateData", "No"), ("InitialR2T", "Yes"), ("DataPDUInOrder", "Yes")])
    assert not end.unanswered
    end.finish()
    assert not end.session_parameters().immediate_data
    end = initiator()
    end.originate([("ImmediateData", "Yes")])
    assert end.unanswered


def test_an_offer_that_cannot_be_takes_any_answer() -> None:
    """Who tests a target sends nonsense, and wants to see what comes back."""
    end = initiator()
    end.originate([("MaxBurstLength", "nonsense"), ("X-a", "1")])
    assert receive(end, ("MaxBurstLength", "Reject"), ("X-a", "whatever")) == []
    end.finish()


def test_a_first_burst_longer_than_a_burst_is_not_offered() -> None:
    """RFC 7143 §13.14 forbids it to the initiator's side too."""
    wishes = dict(initiator(max_burst_length=4096, first_burst_length=65536).wishes())
    assert wishes["FirstBurstLength"] == "4096"


# -- What a side insists on ------------------------------------------------------------------------------------------


def test_the_target_brings_up_what_the_defaults_exceed() -> None:
    """Limits below the defaults, and a digest that is required; what the initiator brought up is settled already."""
    end = target(max_burst_length=65536, first_burst_length=4096, immediate_data=False, header_digest=("CRC32C",))
    receive(end, ("MaxBurstLength", "32768"))
    assert end.needs() == [("HeaderDigest", "CRC32C"), ("ImmediateData", "No"), ("FirstBurstLength", "4096")]
    assert target().needs() == []


def test_the_target_brings_up_nothing_irrelevant() -> None:
    """A first burst has no length where there is no unsolicited data (RFC 7143 §13.14)."""
    end = target(initial_r2t=True, immediate_data=False, first_burst_length=512)
    receive(end, ("InitialR2T", "Yes"), ("ImmediateData", "No"))
    assert end.needs() == []


@pytest.mark.parametrize("name", ["HeaderDigest", "DataDigest"])
def test_a_required_digest_cannot_be_left_out(name: str) -> None:
    """The operator's word counts: a login without it fails."""
    end = target(**{KEYS[name].parameter: ("CRC32C",)})
    assert receive(end, (name, "None")) == [(name, "Reject")]
    with pytest.raises(NegotiationViolation, match=name):
        end.finish()
    end = target(**{KEYS[name].parameter: ("CRC32C",)})
    assert receive(end, (name, "None,CRC32C")) == [(name, "CRC32C")]
    end.finish()


def test_the_results_have_the_defaults_of_the_rfc() -> None:
    """Where nothing is negotiated, they are all there is (RFC 7143 §13)."""
    end = target()
    end.finish()
    assert end.session_parameters() == SessionParameters()
    assert end.connection_parameters() == ConnectionParameters()
    assert dataclasses.asdict(SessionParameters())["max_burst_length"] == 262144


@pytest.mark.parametrize("workaround", [True, False])
def test_boot_firmware_leaves_keys_unanswered(workaround: bool) -> None:
    """A shorter FirstBurstLength was offered; who can do without the answer takes the default for settled."""
    end = target(first_burst_length=16384, keys_workaround=workaround)
    end.receive([("InitialR2T", "No")], Phase.OPERATIONAL)
    assert ("FirstBurstLength", "16384") in end.originate(end.needs())
    before = end.unanswered
    end.receive([], Phase.OPERATIONAL)
    end.waive_answers()
    assert (before, end.unanswered) == (True, not workaround)
    if workaround:
        end.finish()
        assert end.session_parameters().first_burst_length == 65536
