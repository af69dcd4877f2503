"""Sanitize operations that the last run of the server has not ended go on when the unit is served again (SBC-4 §4.11)."""

from functools import partial
from typing import Any

import structlog

from isthmus.scsi.background import BackgroundRun
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.medium_work import resume_medium_work

__all__ = ["resume"]

_log = structlog.get_logger()


def resume(unit: LogicalUnit, executor: BlockExecutor) -> None:
    """Go on with what was begun on the medium of `unit`, if there is such; nothing else gets at it meanwhile."""
    steps = resume_medium_work(unit)
    if steps is not None:
        _log.warning("a sanitize operation goes on", unit=unit.identity.serial)
        BackgroundRun(unit, executor, steps, partial(_over, unit)).start()


def _over(unit: LogicalUnit, _result: Any, error: Exception | None) -> None:
    if error is None:
        _log.info("a sanitize operation is over", unit=unit.identity.serial)
    else:
        _log.error("a sanitize operation did not go on", unit=unit.identity.serial, reason=str(error))
