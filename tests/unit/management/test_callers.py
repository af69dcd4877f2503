from isthmus.management.callers import Caller


def test_a_peer_of_the_socket() -> None:
    """By the numbers that the kernel vouches for."""
    caller = Caller(face="control socket", uid=1000, gid=100, pid=42)
    assert str(caller) == "control socket uid 1000 pid 42"
    assert caller.values() == {"who": "control socket", "uid": 1000, "gid": 100, "pid": 42}


def test_a_peer_on_the_network() -> None:
    """By its address."""
    caller = Caller(face="REST", address="192.0.2.7:5000")
    assert str(caller) == "REST 192.0.2.7:5000"
    assert caller.values() == {"who": "REST", "address": "192.0.2.7:5000"}


def test_a_word_is_a_caller() -> None:
    """A signal has no peer."""
    assert Caller.of("SIGHUP").values() == {"who": "SIGHUP"}
    assert Caller.of(Caller(face="x")) == Caller(face="x")
