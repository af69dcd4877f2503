"""Reading what the load generators print."""

import pytest

from bench.clients import ClientError, parse_iops, parse_run_seconds

_PERF = (
    "will run for 2 seconds.\n\n\r00:00:01 - lba 327948, iops current 34038 (132 MB/s), iops average 34038 (132 MB/s), "
    "in_flight 32, busy 0        \riops average 35565 (138 MB/s)                    \n\nfinished.\n"
)


def test_iops() -> None:
    """The last average counts, not the progress before it."""
    assert parse_iops(_PERF) == 35565.0


@pytest.mark.parametrize("output", ["", "iops average 0 (0 MB/s)\n", _PERF.partition("\riops average 35565")[0]])
def test_no_iops(output: str) -> None:
    """A run without a result, or without any I/O, is an error and not a figure."""
    with pytest.raises(ClientError):
        parse_iops(output)


def test_run_seconds() -> None:
    """The time that qemu-img bench took."""
    assert parse_run_seconds("Sending 2 write requests\nRun completed in 0.538 seconds.\n") == 0.538


def test_no_run_seconds() -> None:
    """A run that did not complete is an error."""
    with pytest.raises(ClientError):
        parse_run_seconds("Sending 2 write requests\n")
