import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.spc.mode_pages import ALL_PAGES, ALL_SUBPAGES, PAGES, ModePage, ModePages, PageControl, PageKey
from isthmus.scsi.task_set_rules import QueueErrorManagement, TaskSetRules, UnitAttentionInterlock
from isthmus.scsi.thresholds import Resource, Threshold, Thresholds

KEYS = [page.key for page in PAGES]
CACHING, CONTROL = (0x08, 0), (0x0A, 0)
HEADERS = {
    (0x01, 0): "010a",
    (0x02, 0): "020e",
    (0x08, 0): "8812",
    (0x0A, 0): "8a0a",
    (0x0A, 1): "4a01001c",
    (0x1A, 0): "9a26",
    (0x1C, 0): "1c0a",
    (0x1C, 2): "dc02001c",
}
DEFAULTS = {
    (0x01, 0): bytes(10),
    (0x02, 0): bytes(14),
    (0x08, 0): b"\x04" + bytes(17),
    (0x0A, 0): bytes.fromhex("02100040 0000 ffff 0000"),
    (0x0A, 1): b"\x07" + bytes(27),
    (0x1A, 0): bytes(37) + b"\x54",
    (0x1C, 0): b"\x08" + bytes(9),
    (0x1C, 2): bytes(12) + bytes.fromhex("0001000000000000 0102000000000000"),
}
CHANGEABLE = {
    CACHING: "0400",
    CONTROL: "f4f63840",
    (0x1A, 0): "010f" + "ff" * 20,
    (0x1C, 2): "01 0000000000 0000000000 00 80000000ffffffff 80000000ffffffff",
}
RESERVED_VALUES = {(2, 7): 7, (2, 6): 7, (3, 7): 7, (3, 6): 7, (3, 5): 7, (3, 2): 2, (4, 4): 5}
"""Of the Control page: the bits whose change alone gives their field a reserved value, and the first bit of that field."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fields_have_room(page: ModePage) -> None:
    """The fields of a page lie behind its header, inside the page, and apart from each other."""
    masks = [field.mask(page.length) for field in page.fields]
    for field, mask in zip(page.fields, masks, strict=True):
        assert 0 < mask < 1 << 8 * (page.length - len(page.header))
        assert field.default < 1 << field.width
    assert all(not left & right for left, right in itertools.combinations(masks, 2))


@pytest.mark.parametrize("key", KEYS)
def test_values(key: PageKey) -> None:
    """Current and default values are those of the table; changeable values have ones where something can change."""
    mode = ModePages(write_back=True, thresholds=True)
    header = bytes.fromhex(HEADERS[key])
    body = DEFAULTS[key]
    assert mode.page(key, PageControl.CURRENT) == mode.page(key, PageControl.DEFAULT) == header + body
    changeable = bytes.fromhex(CHANGEABLE.get(key, "")).ljust(len(body), b"\0")
    assert mode.page(key, PageControl.CHANGEABLE) == header + changeable


def test_power_timers() -> None:
    """In seconds, of the conditions whose timers are enabled; each flag stands for its own timer."""
    mode = ModePages(write_back=True)
    assert mode.power_timers == {}
    timers = b"".join(value.to_bytes(4) for value in (10, 20, 30, 40, 50))
    mode.change((0x1A, 0), b"\x1a\x26\x01\x0f" + timers + bytes(16))
    seconds = {"IDLE_A": 1.0, "STANDBY_Z": 2.0, "IDLE_B": 3.0, "IDLE_C": 4.0, "STANDBY_Y": 5.0}
    assert mode.power_timers == {PowerCondition[name]: value for name, value in seconds.items()}
    for flags, name in (
        (0x0100, "STANDBY_Y"),
        (0x08, "IDLE_C"),
        (0x04, "IDLE_B"),
        (0x02, "IDLE_A"),
        (0x01, "STANDBY_Z"),
    ):
        mode.change((0x1A, 0), b"\x1a\x26" + flags.to_bytes(2) + timers + bytes(16))
        assert mode.power_timers == {PowerCondition[name]: seconds[name]}


def test_a_unit_that_measures_no_space_has_no_thresholds() -> None:
    """Page 1Ch/02h is not there, and nothing is asked for."""
    mode = ModePages(write_back=True, thresholds=False)
    assert mode.select(0x1C, ALL_SUBPAGES) == [(0x1C, 0)]
    assert mode.thresholds == Thresholds()


def test_thresholds() -> None:
    """Those that are enabled, with the place of their descriptors."""
    mode = ModePages(write_back=True, thresholds=True)
    data = bytearray(mode.page((0x1C, 2), PageControl.CURRENT))
    data[4] |= 0x01
    data[20:24] = b"\1\2\3\4"
    data[24] |= 0x80
    data[28:32] = b"\5\6\7\x08"
    assert mode.unchangeable((0x1C, 2), bytes(data)) is None
    assert mode.change((0x1C, 2), bytes(data))
    used = Threshold(resource=Resource.USED, count=0x05060708, place=24)
    assert mode.thresholds == Thresholds(enabled=(used,), single_initiator=True)
    data[16] |= 0x80
    mode.change((0x1C, 2), bytes(data))
    assert mode.thresholds.enabled == (Threshold(resource=Resource.AVAILABLE, count=0x01020304, place=16), used)


def test_saved_values() -> None:
    """Saved values are the defaults until current ones are saved; a reset brings them back."""
    mode = ModePages(write_back=True)
    assert mode.page(CONTROL, PageControl.SAVED) == mode.page(CONTROL, PageControl.DEFAULT)
    assert mode.saved_pages == {}
    changed = bytearray(mode.page(CONTROL, PageControl.CURRENT))
    changed[4] |= 0x08
    mode.change(CONTROL, bytes(changed))
    mode.reset()
    assert not mode.software_write_protect
    mode.change(CONTROL, bytes(changed))
    mode.save()
    assert mode.saved_pages == {CONTROL: bytes(changed)}
    assert mode.page(CONTROL, PageControl.SAVED) == bytes(changed)
    assert mode.page(CONTROL, PageControl.DEFAULT) != bytes(changed)
    mode.change(CONTROL, mode.page(CONTROL, PageControl.DEFAULT))
    mode.reset()
    assert mode.software_write_protect


def test_revert() -> None:
    """To revert brings back the defaults and leaves what was saved."""
    mode = ModePages(write_back=True)
    assert not mode.revert()
    changed = bytearray(mode.page(CONTROL, PageControl.CURRENT))
    changed[4] |= 0x08
    mode.change(CONTROL, bytes(changed))
    mode.save()
    assert mode.revert()
    assert not mode.software_write_protect
    assert mode.saved_pages == {CONTROL: bytes(changed)}
    mode.save()
    assert mode.saved_pages == {}


def test_saved_before() -> None:
    """Of what an earlier run has saved, only what can be changed now counts."""
    pages = {
        (0x08, 0): bytes.fromhex("8812ff") + bytes([255] * 17),
        CONTROL: b"short",
        (0x3E, 0): b"there is no such page any more",
    }
    mode = ModePages(write_back=True, saved=pages)
    assert mode.page((0x08, 0), PageControl.CURRENT) == bytes.fromhex("881204") + bytes(17)
    assert mode.page(CONTROL, PageControl.CURRENT) == mode.page(CONTROL, PageControl.DEFAULT)
    assert not ModePages(write_back=False, saved=pages).write_cache_enabled
    assert not ModePages(write_back=True, saved={(0x08, 0): bytes.fromhex("8812") + bytes(18)}).write_cache_enabled


def test_without_write_cache() -> None:
    """Without a volatile cache WCE is 0 and cannot be set."""
    mode = ModePages(write_back=False)
    assert not mode.write_cache_enabled
    for control in (PageControl.CURRENT, PageControl.CHANGEABLE, PageControl.DEFAULT):
        assert mode.page(CACHING, control)[2] == 0


@pytest.mark.parametrize(
    ("code", "subpage", "keys"),
    [
        (0x0A, 0, [(0x0A, 0)]),
        (0x0A, 1, [(0x0A, 1)]),
        (0x0A, ALL_SUBPAGES, [(0x0A, 0), (0x0A, 1)]),
        (0x08, ALL_SUBPAGES, [(0x08, 0)]),
        (ALL_PAGES, 0, [key for key in KEYS if key[1] == 0]),
        (ALL_PAGES, ALL_SUBPAGES, KEYS),
        (0x0A, 2, []),
        (0x03, 0, []),
    ],
)
def test_select(code: int, subpage: int, keys: list[PageKey]) -> None:
    """Page and subpage codes stand for pages in ascending order, and FFh and 3Fh for all."""
    assert ModePages(write_back=True, thresholds=True).select(code, subpage) == keys


@pytest.mark.parametrize(
    ("key", "byte", "bit", "attribute"),
    [
        (CACHING, 2, 2, "write_cache_enabled"),
        (CONTROL, 2, 2, "descriptor_sense"),
        (CONTROL, 4, 3, "software_write_protect"),
        (CONTROL, 5, 6, "task_aborted_status"),
    ],
)
def test_change(key: PageKey, byte: int, bit: int, attribute: str) -> None:
    """Each changeable bit is what the property of its name tells, and a reset undoes the change."""
    mode = ModePages(write_back=True, thresholds=True)
    before = getattr(mode, attribute)
    data = bytearray(mode.page(key, PageControl.CURRENT))
    data[byte] ^= 1 << bit
    assert mode.unchangeable(key, bytes(data)) is None
    assert mode.change(key, bytes(data))
    assert getattr(mode, attribute) is not before
    assert mode.page(key, PageControl.CURRENT) == bytes(data)
    assert not mode.change(key, bytes(data))
    mode.reset()
    assert getattr(mode, attribute) is before


def with_control(byte: int, value: int) -> ModePages:
    """Mode pages whose Control page has `value` in `byte`."""
    mode = ModePages(write_back=True, thresholds=True)
    data = bytearray(mode.page(CONTROL, PageControl.CURRENT))
    data[byte] = value
    assert mode.unchangeable(CONTROL, bytes(data)) is None
    mode.change(CONTROL, bytes(data))
    return mode


@pytest.mark.parametrize(
    ("byte", "value", "rules"),
    [
        (2, 0x02, TaskSetRules()),
        (2, 0x22, TaskSetRules(per_nexus=True)),
        (2, 0x12, TaskSetRules(task_management_only=True)),
        (3, 0x00, TaskSetRules(restricted_reordering=True)),
        (3, 0x12, TaskSetRules(queue_error_management=QueueErrorManagement.ABORT_ALL)),
        (3, 0x16, TaskSetRules(queue_error_management=QueueErrorManagement.ABORT_OWN)),
        (4, 0x20, TaskSetRules(unit_attention_interlock=UnitAttentionInterlock.KEEP)),
        (4, 0x30, TaskSetRules(unit_attention_interlock=UnitAttentionInterlock.KEEP_AND_ESTABLISH)),
    ],
)
def test_task_set_rules(byte: int, value: int, rules: TaskSetRules) -> None:
    """TST, TMF_ONLY, QUEUE ALGORITHM MODIFIER, QERR and UA_INTLCK_CTRL are the rules of the task set."""
    mode = with_control(byte, value)
    assert mode.task_set_rules == rules
    mode.reset()
    assert mode.task_set_rules == TaskSetRules()


def test_what_is_sent_back_changes_nothing() -> None:
    """A page as MODE SENSE gave it is accepted, with and without PS, and changes nothing."""
    mode = ModePages(write_back=True, thresholds=True)
    for key in KEYS:
        data = mode.page(key, PageControl.CURRENT)
        assert mode.unchangeable(key, data) is None
        assert mode.unchangeable(key, bytes((data[0] | 0x80,)) + data[1:]) is None
        assert not mode.change(key, data)


@given(key=st.sampled_from(KEYS), data=st.data())
def test_one_wrong_bit(key: PageKey, data: st.DataObject) -> None:
    """Exactly the bits that are not changeable are refused, each by its place; and reserved values, by their field."""
    mode = ModePages(write_back=True, thresholds=True)
    page = bytearray(mode.page(key, PageControl.CURRENT))
    byte = data.draw(st.integers(1, len(page) - 1))
    bit = data.draw(st.integers(0, 7))
    page[byte] ^= 1 << bit
    may_change = mode.page(key, PageControl.CHANGEABLE)[byte] >> bit & 1 and byte >= len(HEADERS[key]) // 2
    wrong = mode.unchangeable(key, bytes(page))
    if key == CONTROL and (byte, bit) in RESERVED_VALUES:
        assert wrong is not None
        assert (wrong.byte, wrong.bit) == (byte, RESERVED_VALUES[byte, bit])
    elif may_change:
        assert wrong is None
    else:
        assert wrong is not None
        assert (wrong.byte, wrong.bit) == (byte, bit)


def test_an_operator_sets_defaults() -> None:
    """They are current at once, reported as the defaults, and what a reset comes back to."""
    mode = ModePages(write_back=True)
    assert mode.set_defaults({"TAS": 0, "QUEUE ALGORITHM MODIFIER": 0})
    assert not mode.set_defaults({"TAS": 0, "QUEUE ALGORITHM MODIFIER": 0})
    assert mode.page(CONTROL, PageControl.CURRENT) == mode.page(CONTROL, PageControl.DEFAULT)
    assert (mode.task_aborted_status, mode.task_set_rules) == (False, TaskSetRules(restricted_reordering=True))
    mode.reset()
    assert not mode.task_aborted_status


def test_what_an_initiator_has_saved_counts_before_defaults() -> None:
    """And fields that nobody has named stay as an initiator has set them."""
    mode = ModePages(write_back=True)
    data = bytearray(mode.page(CONTROL, PageControl.CURRENT))
    data[2] |= 0x04
    mode.change(CONTROL, bytes(data))
    assert mode.set_defaults({"TAS": 0})
    assert mode.descriptor_sense
    mode.save()
    assert not mode.set_defaults({"TAS": 1})
    assert not mode.task_aborted_status
