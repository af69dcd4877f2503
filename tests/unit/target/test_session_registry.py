import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.session import Session
from isthmus.target.session_registry import SessionRegistry, TsihAllocator
from tests.support.full_feature import SessionUnderTest


def session(tsih: int) -> Session:
    """A session with this handle; all have one initiator name and ISID."""
    made = SessionUnderTest().session
    made.tsih = tsih
    return made


def test_a_session_is_known_by_identifier_and_by_handle() -> None:
    """The identifier is initiator name, ISID and portal group tag (RFC 7143 §4.4.3.1)."""
    registry = SessionRegistry()
    one = session(1)
    registry.add(one, 7)
    assert registry.by_identifier(one.initiator_name, one.isid, 7) is one
    assert registry.by_identifier(one.initiator_name, one.isid, 8) is None
    assert registry.by_tsih(1) is one
    assert (len(registry), list(registry)) == (1, [one])


def test_removing_an_old_session_leaves_the_new_one_of_its_name() -> None:
    """After a reinstatement the old session ends last, and must not take the new one with it."""
    registry = SessionRegistry()
    old, new = session(1), session(2)
    registry.add(old, 1)
    registry.add(new, 1)
    registry.remove(old)
    assert registry.by_identifier(new.initiator_name, new.isid, 1) is new
    assert (registry.by_tsih(1), registry.by_tsih(2)) == (None, new)
    registry.remove(new)
    assert len(registry) == 0


def test_iterating_bears_sessions_that_end_meanwhile() -> None:
    """Ending all of them, one by one, walks over all of them."""
    registry = SessionRegistry()
    for number in range(1, 4):
        registry.add(session(number), number)
    for each in registry:
        registry.remove(each)
    assert len(registry) == 0


@given(st.lists(st.integers(0, 5), max_size=60))
def test_no_handle_is_given_twice_nor_zero(releases: list[int]) -> None:
    """0 means a new session (RFC 7143 §11.12.6), and two sessions never share a handle."""
    allocator = TsihAllocator()
    used: list[int] = []
    for release in releases:
        tsih = allocator.allocate()
        assert tsih
        assert tsih not in used
        used.append(tsih)
        if release < len(used):
            allocator.release(used.pop(release))


def test_a_handle_that_was_freed_comes_again_last() -> None:
    """So that a late login for an ended session does not hit a new one."""
    allocator = TsihAllocator()
    first = allocator.allocate()
    assert first is not None
    allocator.release(first)
    assert allocator.allocate() != first


@pytest.mark.slow
def test_all_65535_handles_can_be_given() -> None:
    """Then there is none, until one is given back."""
    allocator = TsihAllocator()
    given_out = [allocator.allocate() for _ in range(0xFFFF)]
    assert len(set(given_out)) == 0xFFFF
    assert allocator.allocate() is None
    allocator.release(77)
    assert allocator.allocate() == 77
