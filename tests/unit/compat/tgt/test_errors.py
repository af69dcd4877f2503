from isthmus.compat.tgt.errors import MESSAGES, Refused, Status


def test_every_number_has_its_words() -> None:
    """They are what tgtadm prints."""
    assert list(MESSAGES) == list(Status) == list(range(25))


def test_a_refusal_says_at_least_what_its_number_says() -> None:
    """The log gets more, where there is more to say."""
    assert str(Refused(Status.NO_TARGET)) == "can't find the target"
    assert str(Refused(Status.INVALID_REQUEST, "there is no key x")) == "there is no key x"
