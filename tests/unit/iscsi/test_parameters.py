from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters


def test_what_holds_when_nothing_is_negotiated() -> None:
    """The defaults of RFC 7143 §13."""
    assert SessionParameters() == SessionParameters(
        max_connections=1,
        initial_r2t=True,
        immediate_data=True,
        max_burst_length=262144,
        first_burst_length=65536,
        default_time2wait=2,
        default_time2retain=20,
        max_outstanding_r2t=1,
        data_pdu_in_order=True,
        data_sequence_in_order=True,
        error_recovery_level=0,
        task_reporting="RFC3720",
        iscsi_protocol_level=1,
    )
    assert ConnectionParameters() == ConnectionParameters(
        header_digest=False,
        data_digest=False,
        max_recv_data_segment_length=8192,
        max_xmit_data_segment_length=8192,
    )


def test_what_we_offer_is_no_less_than_the_defaults() -> None:
    """Our usual offers never make the target bring up a key itself, which simple initiators do not expect."""
    offers, defaults = Offers(), SessionParameters()
    for name in ("max_connections", "max_burst_length", "first_burst_length", "max_outstanding_r2t"):
        assert getattr(offers, name) >= getattr(defaults, name)
    assert offers.default_time2wait <= defaults.default_time2wait
    assert offers.default_time2retain >= defaults.default_time2retain
    assert offers.first_burst_length <= offers.max_burst_length
    assert "None" in offers.header_digest
    assert "None" in offers.data_digest
    assert offers.error_recovery_level == 0
