"""Errors that are told after the fact."""

import errno

from isthmus.backstores.operations import Flush
from isthmus.errors import BackstoreError
from isthmus.scsi.background import BackgroundRun, BackgroundSteps
from isthmus.scsi.deferred_errors import DeferredErrors, deferring
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, inquiry
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_nexus, read_10

WRITE_ERROR = SenseData(sense=Sense.WRITE_ERROR, information=7)
REQUEST_SENSE = bytes((3, 0, 0, 0, 18, 0))


def test_each_nexus_hears_its_own() -> None:
    """Errors wait for the nexus whose command it was, oldest first."""
    changes: list[None] = []
    errors = DeferredErrors(lambda: changes.append(None))
    one, two = make_nexus(isid=1), make_nexus(isid=2)
    errors.establish(one, WRITE_ERROR)
    errors.establish(one, SenseData(sense=Sense.LOGICAL_UNIT_FAILURE))
    assert errors.pending(one)
    assert not errors.pending(two)
    assert errors.take(two) is None
    assert errors.take(one) == SenseData(sense=Sense.WRITE_ERROR, information=7, deferred=True)
    assert errors.take(one) == SenseData(sense=Sense.LOGICAL_UNIT_FAILURE, deferred=True)
    assert not errors.pending(one)
    assert len(changes) == 3


def test_bounded() -> None:
    """A nexus that never asks fills no memory, and keeps what came first."""
    errors = DeferredErrors()
    nexus = make_nexus()
    for lba in range(100):
        errors.establish(nexus, SenseData(sense=Sense.WRITE_ERROR, information=lba))
    told = []
    while (sense_data := errors.take(nexus)) is not None:
        told.append(sense_data.information)
    assert told == list(range(16))


def test_told_instead_of_running() -> None:
    """The command that hears of it does not run; INQUIRY does, and leaves it for another."""
    bench = Bench()
    bench.unit.deferred_errors.establish(bench.nexus, WRITE_ERROR)
    assert data_of(bench.run(inquiry()))
    response = bench.run(read_10(0, 1))
    assert response.sense[0] == 0xF1
    assert response.sense[2] == Sense.WRITE_ERROR.key
    assert response.sense[3:7] == bytes((0, 0, 0, 7))
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_unit_attention_first() -> None:
    """A unit attention is told before it."""
    bench = Bench()
    bench.unit.deferred_errors.establish(bench.nexus, WRITE_ERROR)
    bench.unit.unit_attentions.establish(bench.nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert bench.run(TEST_UNIT_READY).sense[0] == 0x70
    assert bench.run(TEST_UNIT_READY).sense[0] == 0xF1


def test_request_sense_takes_it() -> None:
    """REQUEST SENSE gives it as parameter data."""
    bench = Bench()
    bench.unit.deferred_errors.establish(bench.nexus, WRITE_ERROR)
    assert data_of(bench.run(REQUEST_SENSE))[0] == 0xF1
    assert data_of(bench.run(REQUEST_SENSE))[0] == 0x70


def test_reset_and_loss_forget() -> None:
    """After a reset, or the loss of the nexus, there is nothing to tell."""
    bench = Bench()
    bench.unit.deferred_errors.establish(bench.nexus, WRITE_ERROR)
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    assert not bench.unit.deferred_errors.pending(bench.nexus)
    bench.unit.deferred_errors.establish(bench.nexus, WRITE_ERROR)
    bench.router.nexus_lost(bench.nexus)
    assert not bench.unit.deferred_errors.pending(bench.nexus)


def flush() -> BackgroundSteps:
    """One flush."""
    yield Flush()


def test_deferring() -> None:
    """Steps that fail are told to the nexus, unless it has gone."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    for expected in (True, False):
        BackgroundRun(bench.unit, executor, deferring(bench.unit, bench.nexus, flush()), lambda *_: None).start()
        if not expected:
            bench.router.nexus_lost(bench.nexus)
        executor.finish(error=BackstoreError(errno.EIO, "the disk is broken"))
        assert bench.unit.deferred_errors.pending(bench.nexus) is expected


def test_descriptor_format() -> None:
    """In descriptor format it has a response code of its own as well."""
    assert SenseData(sense=Sense.WRITE_ERROR, deferred=True).to_bytes(descriptor=True)[0] == 0x73
