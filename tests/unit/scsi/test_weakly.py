from weakref import ref

from isthmus.scsi.weakly import weakly


class Whole:
    """Has a part that calls it back."""

    def __init__(self, heard: list[object]) -> None:
        self.heard = heard
        self.call_back = weakly(self.hear)

    def hear(self, what: object, *, named: object = None) -> None:
        self.heard.append((what, named))


def test_it_calls_the_method() -> None:
    """With what it is given."""
    heard: list[object] = []
    whole = Whole(heard)
    whole.call_back(1, named=2)
    assert heard == [(1, 2)]


def test_it_keeps_nothing() -> None:
    """The whole goes with its last user, without the garbage collector; from then on a call does nothing."""
    heard: list[object] = []
    whole = Whole(heard)
    call_back, gone = whole.call_back, ref(whole)
    del whole
    assert gone() is None
    call_back(1)
    assert heard == []
