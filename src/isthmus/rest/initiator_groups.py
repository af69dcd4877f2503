"""The routes of initiator groups. Each is one edit."""

from typing import Annotated, Any, Final

from fastapi import FastAPI

from isthmus.config.model import Configuration
from isthmus.management import initiator_group_edits as edits
from isthmus.management.views import ApplyReport
from isthmus.names import IscsiName
from isthmus.rest import bodies
from isthmus.rest.changing import Modifier

__all__ = ["add_initiator_groups"]

_ALL: Final = "/v1/targets/{name}/portal-groups/{tag}/initiator-groups"
_ONE: Final = f"{_ALL}/{{group}}"


def add_initiator_groups(app: FastAPI, change: Any) -> None:
    """Add the routes to `app`; `change` is the dependency that makes a `Modifier`."""
    change_by = Annotated[Modifier, change]

    @app.post(_ALL)
    async def create_initiator_group(name: str, tag: int, body: bodies.NewInitiatorGroup, by: change_by) -> ApplyReport:
        """Create an initiator group, to be asked after the others."""
        return await by.make(edits.add_initiator_group, IscsiName(name), tag, body.name, body.initiators)

    @app.patch(_ONE)
    async def edit_initiator_group(
        name: str, tag: int, group: str, body: bodies.InitiatorGroupEdit, by: change_by
    ) -> ApplyReport:
        """Change who belongs to it, and its attributes."""
        place = IscsiName(name), tag, group

        def edit(configuration: Configuration) -> Configuration:
            if body.initiators is not None:
                configuration = edits.set_initiators(configuration, *place, body.initiators)
            return edits.set_initiator_group_attributes(configuration, *place, body.attributes)

        return await by.make(edit)

    @app.delete(_ONE)
    async def delete_initiator_group(name: str, tag: int, group: str, by: change_by) -> ApplyReport:
        """Delete it; its initiators are judged without it, and put out if nothing else lets them in."""
        return await by.make(edits.remove_initiator_group, IscsiName(name), tag, group)

    @app.post(f"{_ONE}/luns")
    async def map_group_lun(name: str, tag: int, group: str, body: bodies.NewMappedLun, by: change_by) -> ApplyReport:
        """Map a LUN of the portal group for its initiators."""
        return await by.make(
            edits.add_group_lun,
            IscsiName(name),
            tag,
            group,
            body.tpg_lun,
            number=body.lun,
            write_protect=body.read_only,
        )

    @app.delete(f"{_ONE}/luns/{{lun}}")
    async def unmap_group_lun(name: str, tag: int, group: str, lun: int, by: change_by) -> ApplyReport:
        """Take a mapped LUN from its initiators."""
        return await by.make(edits.remove_group_lun, IscsiName(name), tag, group, lun)
