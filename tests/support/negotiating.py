"""Two ends that negotiate with each other in memory."""

from dataclasses import dataclass

from hypothesis import strategies as st

from isthmus.iscsi.keys import Phase
from isthmus.iscsi.negotiation import Negotiation, Role
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.text_format import Pair

__all__ = ["OFFERS", "Ends", "negotiate", "receive"]

_SEGMENT = st.integers(512, (1 << 24) - 1)
_DIGESTS = st.sampled_from([("None",), ("None", "CRC32C"), ("CRC32C", "None")])

OFFERS = st.builds(
    Offers,
    header_digest=_DIGESTS,
    data_digest=_DIGESTS,
    max_connections=st.integers(1, 65535),
    initial_r2t=st.booleans(),
    immediate_data=st.booleans(),
    max_recv_data_segment_length=_SEGMENT,
    max_burst_length=_SEGMENT,
    first_burst_length=_SEGMENT,
    default_time2wait=st.integers(0, 3600),
    default_time2retain=st.integers(0, 3600),
    max_outstanding_r2t=st.integers(1, 65535),
    data_pdu_in_order=st.booleans(),
    data_sequence_in_order=st.booleans(),
    error_recovery_level=st.integers(0, 2),
    task_reporting=st.permutations(["RFC3720", "ResponseFence", "FastAbort"]).map(tuple),
    iscsi_protocol_level=st.integers(0, 31),
)
"""Anything that one side may wish."""


@dataclass(slots=True)
class Ends:
    """Both sides of one negotiation."""

    initiator: Negotiation
    target: Negotiation

    @classmethod
    def of(cls, initiator: Offers, target: Offers, *, discovery: bool = False) -> "Ends":
        """Both on a leading connection."""
        return cls(
            Negotiation(Role.INITIATOR, initiator, discovery=discovery),
            Negotiation(Role.TARGET, target, discovery=discovery),
        )


def receive(negotiation: Negotiation, *pairs: Pair) -> list[Pair]:
    """The answers to `pairs` in the operational stage."""
    return negotiation.receive(pairs, Phase.OPERATIONAL).answers


def negotiate(ends: Ends, offered: list[Pair]) -> None:
    """The initiator offers `offered`, the target what it still needs; both answer."""
    answers = receive(ends.target, *ends.initiator.originate(offered))
    needs = ends.target.originate(ends.target.needs())
    back = receive(ends.initiator, *answers, *ends.target.own_declarations(), *needs)
    assert receive(ends.target, *back) == []
    ends.initiator.finish()
    ends.target.finish()
