"""The routes of single things: backstores, targets, portal groups, portals, LUNs, node ACLs. Each is one edit."""

import json
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request

from isthmus.config.document import dump
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Portal, Target
from isthmus.management import acl_tags, backstore_edits, lun_edits, target_edits
from isthmus.management.secrets import hide_secrets
from isthmus.management.service import Service
from isthmus.management.views import ApplyReport
from isthmus.names import IscsiName
from isthmus.rest import bodies
from isthmus.rest.callers import caller_of
from isthmus.rest.changing import Modifier, modifier
from isthmus.rest.initiator_groups import add_initiator_groups
from isthmus.server.blocking import in_thread

__all__ = ["add_resources"]

_DUMP_SECONDS: Final = 30.0
_GROUP: Final = "/v1/targets/{name}/portal-groups/{tag}"
_ACL: Final = f"{_GROUP}/acls/{{initiator}}"


def add_resources(app: FastAPI, service: Service) -> None:
    """Add the routes to `app`."""
    change = Depends(modifier(service))
    _add_backstores(app, change)
    _add_actions(app, service)
    _add_targets(app, service, change)
    _add_groups(app, change)
    _add_group_parts(app, change)
    _add_acls(app, change)
    add_initiator_groups(app, change)


def _add_backstores(app: FastAPI, change: Any) -> None:
    change_by = Annotated[Modifier, change]

    @app.post("/v1/backstores")
    async def create_backstore(body: bodies.NewBackstore, by: change_by) -> ApplyReport:
        """Create a backstore; a file that is missing is made, if a size is given."""
        return await by.make(backstore_edits.create_backstore, _backstore(body))

    @app.patch("/v1/backstores/{kind}/{name}")
    async def edit_backstore(kind: str, name: str, body: bodies.BackstoreEdit, by: change_by) -> ApplyReport:
        """Give a backstore another size, while it is used, or other attributes; a drive another medium."""
        key = BackstoreKey(kind, name)

        def edit(configuration: Configuration) -> Configuration:
            if body.size is not None:
                configuration = backstore_edits.set_backstore_size(configuration, key, body.size)
            if body.path is not None:
                configuration = backstore_edits.set_backstore_medium(configuration, key, body.path)
            return backstore_edits.set_backstore_attributes(configuration, key, body.attributes)

        return await by.make(edit)

    @app.delete("/v1/backstores/{kind}/{name}")
    async def delete_backstore(kind: str, name: str, by: change_by) -> ApplyReport:
        """Delete a backstore and the LUNs that are it; what the storage holds stays where it is."""
        return await by.make(backstore_edits.delete_backstore, BackstoreKey(kind, name))


def _add_actions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/backstores/{kind}/{name}/start", status_code=204)
    async def start_backstore(request: Request, kind: str, name: str, body: bodies.BackstoreStart) -> None:
        """Start a backstore that does not run: its storage has come back, or what it remembers is given up."""
        await service.start_backstore(BackstoreKey(kind, name), body.lost_reservations, caller_of(request))

    @app.post("/v1/backstores/{kind}/{name}/alua-groups/{group}/restore", status_code=204)
    async def restore_alua_state(request: Request, kind: str, name: str, group: str) -> None:
        """Bring an ALUA group back to its configured state, if initiators have set another."""
        await service.restore_alua_state(BackstoreKey(kind, name), group, caller_of(request))


def _backstore(body: bodies.NewBackstore) -> Backstore:
    key = BackstoreKey(body.kind, body.name)
    return Backstore(
        key=key,
        path=body.path,
        size=body.size,
        write_back=body.kind == "fileio" if body.write_back is None else body.write_back,
        read_only=body.read_only,
        unit_serial=body.serial or key.new_serial(),
        attributes=body.attributes,
        options=body.options,
    )


def _add_targets(app: FastAPI, service: Service, change: Any) -> None:
    change_by = Annotated[Modifier, change]

    @app.get("/v1/targets")
    async def targets() -> list[dict[str, Any]]:
        """Every target, as in saveconfig.json, without secrets."""
        running = service.configuration
        return await in_thread(lambda: _saved(*running.targets.values()), timeout=_DUMP_SECONDS)

    @app.get("/v1/targets/{name}")
    async def target(name: str) -> dict[str, Any]:
        """One target, as in saveconfig.json, without secrets."""
        return _saved(target_edits.target_of(service.configuration, IscsiName(name)))[0]

    @app.post("/v1/targets")
    async def create_target(body: bodies.NewTarget, by: change_by) -> ApplyReport:
        """Create a target, with portal group 1."""
        portal = target_edits.DEFAULT_PORTAL if body.default_portal else None
        return await by.make(target_edits.create_target, IscsiName(body.name), default_portal=portal)

    @app.delete("/v1/targets/{name}")
    async def delete_target(name: str, by: change_by) -> ApplyReport:
        """Delete a target and all in it; its backstores stay."""
        return await by.make(target_edits.delete_target, IscsiName(name))

    @app.patch("/v1/discovery")
    async def edit_discovery(body: bodies.DiscoveryEdit, by: change_by) -> ApplyReport:
        """Change what discovery sessions have to prove."""
        return await by.make(target_edits.set_discovery_authentication, body.chap.values(), enable=body.enable)


def _saved(*found: Target) -> list[dict[str, Any]]:
    configuration = hide_secrets(Configuration(targets={target.name: target for target in found}))
    saved: list[dict[str, Any]] = json.loads(dump(configuration))["targets"]
    return saved


def _add_groups(app: FastAPI, change: Any) -> None:
    change_by = Annotated[Modifier, change]

    @app.post("/v1/targets/{name}/portal-groups")
    async def create_group(name: str, body: bodies.NewGroup, by: change_by) -> ApplyReport:
        """Create a portal group."""
        return await by.make(target_edits.create_portal_group, IscsiName(name), body.tag)

    @app.patch(_GROUP)
    async def edit_group(name: str, tag: int, body: bodies.GroupEdit, by: change_by) -> ApplyReport:
        """Enable or disable a portal group; change its attributes, its parameters, its CHAP."""
        target = IscsiName(name)

        def edit(configuration: Configuration) -> Configuration:
            if body.enable is not None:
                configuration = target_edits.set_group_enabled(configuration, target, tag, enabled=body.enable)
            configuration = target_edits.set_group_attributes(configuration, target, tag, body.attributes)
            configuration = target_edits.set_group_parameters(configuration, target, tag, body.parameters)
            return target_edits.set_group_chap(configuration, target, tag, body.chap.values())

        return await by.make(edit)

    @app.delete(_GROUP)
    async def delete_group(name: str, tag: int, by: change_by) -> ApplyReport:
        """Delete a portal group and all in it."""
        return await by.make(target_edits.delete_portal_group, IscsiName(name), tag)


def _add_group_parts(app: FastAPI, change: Any) -> None:
    change_by = Annotated[Modifier, change]

    @app.post(f"{_GROUP}/portals")
    async def create_portal(name: str, tag: int, body: bodies.NewPortal, by: change_by) -> ApplyReport:
        """Listen on one more address."""
        return await by.make(target_edits.add_portal, IscsiName(name), tag, Portal(body.address, body.port))

    @app.delete(f"{_GROUP}/portals/{{address}}/{{port}}")
    async def delete_portal(name: str, tag: int, address: str, port: int, by: change_by) -> ApplyReport:
        """Listen there no more; sessions that came in through it stay."""
        return await by.make(target_edits.remove_portal, IscsiName(name), tag, address, port)

    @app.post(f"{_GROUP}/luns")
    async def create_lun(name: str, tag: int, body: bodies.NewLun, by: change_by) -> ApplyReport:
        """Make a backstore a LUN."""
        return await by.make(
            lun_edits.add_lun,
            IscsiName(name),
            tag,
            BackstoreKey.parse(body.backstore),
            number=body.lun,
            add_mapped_luns=body.map_for_all,
        )

    @app.delete(f"{_GROUP}/luns/{{lun}}")
    async def delete_lun(name: str, tag: int, lun: int, by: change_by) -> ApplyReport:
        """Delete a LUN, and what maps it; the backstore stays."""
        return await by.make(lun_edits.remove_lun, IscsiName(name), tag, lun)


def _add_acls(app: FastAPI, change: Any) -> None:
    change_by = Annotated[Modifier, change]

    @app.post(f"{_GROUP}/acls")
    async def create_acl(name: str, tag: int, body: bodies.NewAcl, by: change_by) -> ApplyReport:
        """Let an initiator log in."""
        initiator = IscsiName(body.initiator)
        return await by.make(lun_edits.add_acl, IscsiName(name), tag, initiator, add_mapped_luns=body.map_all)

    @app.patch(_ACL)
    async def edit_acl(name: str, tag: int, initiator: str, body: bodies.AclEdit, by: change_by) -> ApplyReport:
        """Change an initiator's label, attributes and CHAP."""
        place = IscsiName(name), tag, IscsiName(initiator)

        def edit(configuration: Configuration) -> Configuration:
            if body.tag is not None:
                configuration = lun_edits.set_acl_tag(configuration, *place, body.tag)
            configuration = lun_edits.set_acl_attributes(configuration, *place, body.attributes)
            return lun_edits.set_acl_chap(configuration, *place, body.chap.values())

        return await by.make(edit)

    @app.delete(_ACL)
    async def delete_acl(name: str, tag: int, initiator: str, by: change_by) -> ApplyReport:
        """Let an initiator log in no more."""
        return await by.make(lun_edits.remove_acl, IscsiName(name), tag, IscsiName(initiator))

    @app.post(f"{_GROUP}/acl-tags")
    async def tag_acls(name: str, tag: int, body: bodies.AclTag, by: change_by) -> ApplyReport:
        """Tag an initiator, or all that have a tag; who joins others by that gets their LUNs, attributes and CHAP."""
        return await by.make(acl_tags.tag_acls, IscsiName(name), tag, body.who, body.tag)

    @app.post(f"{_ACL}/luns")
    async def map_lun(name: str, tag: int, initiator: str, body: bodies.NewMappedLun, by: change_by) -> ApplyReport:
        """Map a LUN of the group for an initiator."""
        return await by.make(
            lun_edits.add_mapped_lun,
            IscsiName(name),
            tag,
            IscsiName(initiator),
            body.tpg_lun,
            number=body.lun,
            write_protect=body.read_only,
        )

    @app.delete(f"{_ACL}/luns/{{lun}}")
    async def unmap_lun(name: str, tag: int, initiator: str, lun: int, by: change_by) -> ApplyReport:
        """Take a mapped LUN from an initiator."""
        return await by.make(lun_edits.remove_mapped_lun, IscsiName(name), tag, IscsiName(initiator), lun)
