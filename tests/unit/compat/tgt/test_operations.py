import pytest

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.operations import EDITS, ROWS, row_of
from isthmus.compat.tgt.wire import Mode, Operation, Request


def test_every_row_does_one_thing() -> None:
    """But for the settings of the whole, some of which are kept and some not."""
    for row in ROWS:
        done = [how for how in (row.edit, row.show, row.act) if how is not None]
        assert len(done) == 1 or (row.mode, row.operation) == (Mode.SYSTEM, Operation.UPDATE)
        assert row_of(Request(mode=row.mode, operation=row.operation)) is row
    assert len({(row.mode, row.operation) for row in ROWS}) == len(ROWS)
    assert (Mode.TARGET, Operation.NEW) in EDITS


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        (Mode.DEVICE, Status.UNSUPPORTED_OPERATION),
        (Mode.ACCOUNT, Status.UNSUPPORTED_OPERATION),
        (99, Status.INVALID_REQUEST),
    ],
)
def test_what_has_no_row(mode: int, status: Status) -> None:
    """Is answered as tgtd does."""
    with pytest.raises(Refused) as caught:
        row_of(Request(mode=mode, operation=Operation.STOP))
    assert caught.value.status == status
