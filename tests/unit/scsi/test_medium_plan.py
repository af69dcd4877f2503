import itertools
from collections.abc import Callable

import pytest

from isthmus.backstores.operations import ChangeKey, Discard, Flush, WriteRepeated
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.background import Background
from isthmus.scsi.medium_plan import Interrupted, MediumPlan, is_begun, steps_through

MIB, GIB = 1 << 20, 1 << 30
SIZE = 20 * MIB
A, B = b"\x0f" * 512, b"\xf0" * 512
OVERWRITE = MediumPlan(length=SIZE, block=A, count=3, invert=True)
ERASE = MediumPlan(length=SIZE)


def written(plan: MediumPlan, start: int = 0) -> list[tuple[int, int, bytes]]:
    """What the steps write, from a position on."""
    return [(step.offset, step.length, step.pattern) for step in plan.steps(start) if isinstance(step, WriteRepeated)]


def begun(plan: MediumPlan, done: int, *changes: Callable[[RamdiskBackstore], None]) -> bool:
    """Whether a medium on which all steps up to `done` were taken shows it, after these changes."""
    disk = RamdiskBackstore("x", plan.length)
    disk.write(0, [b"data" * (plan.length // 4)])
    position = 0
    for step in plan.steps():
        if position >= done:
            break
        step.run(disk)
        position += step.extent[1]
    for change in changes:
        change(disk)
    return bool(Background(is_begun(Interrupted(plan, done), 512), awaited=True).run(disk))


def test_passes() -> None:
    """Each pass covers all, is durable before the next, and inverted ones alternate so that the last is not."""
    passes = [A, B, A]
    assert written(OVERWRITE) == [
        (offset, size, block)
        for block in passes
        for offset, size in ((0, 8 * MIB), (8 * MIB, 8 * MIB), (16 * MIB, 4 * MIB))
    ]
    kinds = [type(step) for step in OVERWRITE.steps()]
    assert kinds == [WriteRepeated, WriteRepeated, WriteRepeated, Flush] * 3
    assert OVERWRITE.total == 3 * SIZE


def test_erasing() -> None:
    """Room is given back; before that the key is changed, where that is asked for, but not a second time."""
    long = MediumPlan(length=5 * GIB // 2, changes_key=True)
    discards = [Discard(((0, GIB),)), Discard(((GIB, GIB),)), Discard(((2 * GIB, GIB // 2),))]
    assert list(long.steps()) == [ChangeKey(), *discards]
    assert list(long.steps(GIB)) == discards[1:]
    assert list(MediumPlan(length=0, changes_key=True).steps()) == [ChangeKey()]


@pytest.mark.parametrize("start", [0, 8 * MIB, 16 * MIB, SIZE, SIZE + 8 * MIB, 3 * SIZE])
def test_going_on(start: int) -> None:
    """From any step on: what is left is what was not done."""
    everything = written(OVERWRITE)
    done = sum(size for _, size, _ in everything) - sum(size for _, size, _ in written(OVERWRITE, start))
    assert done == start
    assert everything[len(everything) - len(written(OVERWRITE, start)) :] == written(OVERWRITE, start)


def test_checkpoints() -> None:
    """After the first step, then every GiB, or sixty-four times in all."""
    assert OVERWRITE.is_checkpoint(0, 8 * MIB)
    assert not OVERWRITE.is_checkpoint(8 * MIB, 16 * MIB)
    assert not OVERWRITE.is_checkpoint(0, 0)
    large = MediumPlan(length=640 * GIB)
    positions = [step * GIB for step in range(641)]
    assert sum(large.is_checkpoint(before, after) for before, after in itertools.pairwise(positions)) == 65


@pytest.mark.parametrize("plan", [OVERWRITE, ERASE, MediumPlan(length=0, changes_key=True)])
def test_a_plan_outlives_the_server(plan: MediumPlan) -> None:
    """As text of one line."""
    interrupted = Interrupted(plan, 4096)
    text = interrupted.to_text()
    assert "\n" not in text
    assert Interrupted.from_text(text) == interrupted


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"done":1}', '{"done":1,"block":"zz"}', '{"done":1,"block":"","other":2}']
)
def test_no_plan(text: str) -> None:
    """Whatever else stands there is refused."""
    with pytest.raises(ValueError):
        Interrupted.from_text(text)


@pytest.mark.parametrize("done", [8 * MIB, 16 * MIB, SIZE, SIZE + 8 * MIB, 3 * SIZE])
def test_the_medium_that_it_was_begun_on(done: int) -> None:
    """It shows what was done."""
    assert begun(OVERWRITE, done)


def test_one_that_came_further() -> None:
    """What was done after the last checkpoint does not matter, not even in the next pass."""
    assert begun(OVERWRITE, 8 * MIB, lambda disk: disk.write(8 * MIB, [A]))
    assert begun(OVERWRITE, SIZE, lambda disk: disk.write(0, [B * (8 * MIB // 512)]))
    assert begun(ERASE, SIZE)


@pytest.mark.parametrize("plan", [OVERWRITE, ERASE])
@pytest.mark.parametrize("offset", [0, 512, MIB - 512, 8 * MIB - 512])
def test_another_medium(plan: MediumPlan, offset: int) -> None:
    """Data anywhere at the start, or at a sample, is somebody's: it is not touched."""
    assert not begun(plan, 8 * MIB, lambda disk: disk.write(offset, [b"data" * 128]))


@pytest.mark.parametrize("done", [0, -1, 3 * SIZE + 1])
def test_nothing_that_was_done(done: int) -> None:
    """Then the medium shows nothing, and might be any."""
    assert not begun(OVERWRITE, done)


def test_steps_through() -> None:
    """Pieces follow each other without a gap, the last one shorter."""
    assert list(steps_through(25, 10)) == [(0, 10), (10, 10), (20, 5)]
    assert list(steps_through(25, 10, 10)) == [(10, 10), (20, 5)]
    assert list(steps_through(0, 10)) == []
