"""The application of the control socket over a service in this process."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import FastAPI

from isthmus.config.model import Configuration
from isthmus.management.callers import Caller
from isthmus.management.views import ApplyReport, VersionView
from isthmus.rest.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.service import Running, disk, running_service, target

__all__ = ["BEFORE", "REPORT", "VERSION", "Api", "running_api"]

VERSION = VersionView(version="1", pid=1, started=0.0, state_directory="/x", loaded_from="")
REPORT = ApplyReport(revision=9, changes=("~ something",))
BEFORE = target(disk("a"))


@dataclass(slots=True)
class Api:
    """The application over a service that runs one target, with revision 2."""

    app: FastAPI
    running: Running
    reloaded_by: list[str]

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request."""
        return await ask(self.app, method, path, body, headers)

    @property
    def configuration(self) -> Configuration:
        """What runs."""
        return self.running.service.configuration


@contextlib.asynccontextmanager
async def running_api() -> AsyncIterator[Api]:
    """Its saved file can always be read again."""
    asked: list[str] = []

    async def reload(who: Caller) -> ApplyReport:
        asked.append(str(who))
        return REPORT

    async with running_service() as running:
        await running.put(BEFORE)
        yield Api(create_app(running.service, VERSION, reload), running, asked)
