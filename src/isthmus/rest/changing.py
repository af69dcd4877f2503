"""What every request for a change may say beside the change: of which revision it is, and whether it is meant seriously."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Concatenate, Final, ParamSpec

from fastapi import Header, HTTPException, Query, Request

from isthmus.config.model import Configuration
from isthmus.management.service import Service
from isthmus.management.views import ApplyReport
from isthmus.rest.callers import caller_of

__all__ = ["DryRun", "Force", "IfMatch", "Modifier", "expected_revision", "modifier"]

P = ParamSpec("P")
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')

IfMatch = Annotated[str | None, Header(description="The ETag of the configuration that was edited, or * for any.")]
Force = Annotated[bool, Query(description="Take away also what is in use.")]
DryRun = Annotated[bool, Query(description="Only tell what would be changed.")]


def expected_revision(if_match: str) -> int | None:
    """The revision that was edited; None: any."""
    if if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise HTTPException(412, "If-Match is not an ETag of a configuration")
    return int(match[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """Makes edits of the configuration in the name of one request."""

    service: Service
    request: Request
    revision: int | None
    force: bool
    dry_run: bool

    async def make(
        self, edit: Callable[Concatenate[Configuration, P], Configuration], *args: P.args, **kwargs: P.kwargs
    ) -> ApplyReport:
        """Run what `edit(configuration, ...)` gives; raises what `Service.edit` and `edit` raise."""
        return await self.service.edit(
            lambda configuration: edit(configuration, *args, **kwargs),
            self.revision,
            force=self.force,
            dry_run=self.dry_run,
            who=caller_of(self.request),
        )


def modifier(service: Service) -> Callable[..., Modifier]:
    """The dependency of routes that change one thing; whoever names no revision means the one that runs."""

    def of_request(
        request: Request, if_match: IfMatch = None, force: Force = False, dry_run: DryRun = False
    ) -> Modifier:
        revision = None if if_match is None else expected_revision(if_match)
        return Modifier(service=service, request=request, revision=revision, force=force, dry_run=dry_run)

    return of_request
