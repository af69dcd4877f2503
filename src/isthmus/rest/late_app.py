"""An application that is made when somebody asks it something.

What answers HTTP is a fourth of the memory of a daemon with nothing to do, and of the time that it takes to start. It is
loaded on a thread, so that nobody's commands wait for it.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from isthmus.management.collector import Collector
from isthmus.server.blocking import in_thread

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LateApp"]

_MAKE_SECONDS: Final = 300.0


class LateApp:
    """Stands for an application before there is one."""

    def __init__(self, make: "Callable[[], ASGIApp]", collector: Collector) -> None:
        """`make` may take long; the `collector` rests meanwhile."""
        self._make = make
        self._collector = collector
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """One request; raises what making raises, and then the next one tries again."""
        app = await self._made()
        await app(scope, receive, send)

    async def _made(self) -> "ASGIApp":
        async with self._making:
            if self._app is None:
                with self._collector.rests():
                    self._app = await in_thread(self._make, timeout=_MAKE_SECONDS)
            return self._app
