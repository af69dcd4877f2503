from isthmus.iscsi.pdu_counts import PduCounts


def test_statuses_tell_of_commands() -> None:
    """Every answer but those to other requests; a status that came with data was no SCSI Response."""
    counts = PduCounts(first_stat_sn=7, other_statuses=2, reads_in_one=3, data_in=4, statuses_in_data_in=1, data_out=5)
    assert (counts.commands(17), counts.responses(17), counts.all_data_in) == (8, 4, 7)


def test_stat_sn_goes_round() -> None:
    """From the last 32-bit number to 0 (RFC 1982)."""
    counts = PduCounts(first_stat_sn=0xFFFF_FFFE)
    assert counts.commands(1) == counts.responses(1) == 3


def test_nothing_yet() -> None:
    """A connection begins with none."""
    counts = PduCounts(first_stat_sn=5)
    assert (counts.commands(5), counts.responses(5), counts.all_data_in, counts.data_out) == (0, 0, 0, 0)
