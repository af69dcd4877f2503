"""The root of the tree, and the commands that are about all of it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from configshell_fb import ExecutionError

from isthmus import __version__
from isthmus.cli.shell.backstores import BackstoresNode
from isthmus.cli.shell.node import Node, boolean, completed, completed_path, number
from isthmus.cli.shell.saved_files import Part, is_same, own_file, read, running_with_secrets, write
from isthmus.cli.shell.targets import IscsiNode
from isthmus.config.model import BackstoreKey, Configuration, MappedLun, PortalGroup
from isthmus.config.settings import TPG_ATTRIBUTES
from isthmus.management.views import SessionView
from isthmus.names import IscsiName

__all__ = ["RootNode"]


class RootNode(Node):
    """`/`."""

    def __init__(self, shell: Any) -> None:
        super().__init__("/", shell=shell)

    def make_children(self) -> Iterator[Callable[[], object]]:
        yield partial(BackstoresNode, self)
        yield partial(IscsiNode, self)

    def summary(self) -> tuple[str, bool | None]:
        return "...", None

    def ui_command_saveconfig(self, savefile: str | None = None) -> None:
        """Saves the configuration to "savefile", secrets and all, for its owner only.

        Without a file it says where the configuration is saved: each change is, durably, before its command ends.
        Secrets are in the daemon's own file; who may not read that cannot save them elsewhere.

        SEE ALSO
        ========
        restoreconfig
        """
        own = own_file(self.editor)
        path = own if savefile is None else Path(savefile).expanduser()
        if not is_same(path, own):
            write(path, running_with_secrets(self.editor))
        self.say(f"Configuration saved to {path}")

    def ui_command_restoreconfig(
        self,
        savefile: str | None = None,
        clear_existing: str | None = None,
        target: str | None = None,
        storage_object: str | None = None,
        force: str | None = None,
    ) -> None:
        """Adds what is in "savefile" (a saveconfig.json, LIO's too) to the configuration; without a file, in the daemon's.

        With "clear_existing" true it takes the place of what there is, and what initiators use of that goes only with
        "force" true. With "target" (a name), "storage_object" (a name or path), or both, it is only about these: a
        storage object that is replaced keeps its LUNs. What the file says that cannot be done here is told.

        SEE ALSO
        ========
        saveconfig clearconfig
        """
        path = own_file(self.editor) if savefile is None else Path(savefile).expanduser()
        replaces = boolean(self, clear_existing, False)
        saved, remarks = read(path)
        part = Part.named(saved, target, storage_object)
        self.take(force, lambda configuration: part.restored(configuration, replaces=replaces))
        for remark in remarks:
            if part.concerns(remark):
                self.warn(str(remark))
        self.say(f"Configuration restored from {path}")

    def ui_complete_saveconfig(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes paths."""
        return completed(completed_path(text, devices=False), text) if current_param == "savefile" else []

    ui_complete_restoreconfig = ui_complete_saveconfig

    def ui_command_clearconfig(self, confirm: str | None = None, force: str | None = None) -> None:
        """Removes every target and storage object. What the storage holds stays where it is.

        "confirm" must be true; and "force", too, if initiators use something of it.
        """
        if not boolean(self, confirm, False):
            raise ExecutionError("clearconfig confirm=true removes everything")
        self.take(force, lambda _: Configuration())
        self.say("All configuration cleared")

    def ui_command_version(self) -> None:
        """Displays the version."""
        self.say(f"isthmus version {__version__}")

    def ui_command_sessions(self, action: str = "list", sid: str | None = None) -> None:
        """Displays the open sessions, or ends one.

        PARAMETERS
        ==========

        action
        ------
        - `list` gives a short list
        - `detail` gives names, LUNs and connections too
        - `logout` has the initiator log out, and drops the session if that takes longer than 5 seconds
        - `drop` drops it at once

        sid
        ---
        Only the session with that number.
        """
        if action in {"logout", "drop"}:
            self._end(number(sid or "", ""), ask=action == "logout")
            return
        if action not in {"list", "detail"}:
            raise ExecutionError("action must be one of: list, detail, logout, drop")
        tsih = None if sid is None else number(sid, "")
        sessions = [session for session in self.editor.sessions() if tsih in {None, session.tsih}]
        if tsih is not None and not sessions:
            raise ExecutionError(f"no session found with sid {tsih}")
        if not sessions:
            self.shell.con.display("(no open sessions)")
        for session in sessions:
            self._show(session, detail=action == "detail")

    def _end(self, tsih: int, *, ask: bool) -> None:
        self.editor.daemon.end_session(tsih, ask=ask)
        self.say(f"Session {tsih} has ended.")

    def _show(self, session: SessionView, *, detail: bool) -> None:
        display = self.shell.con.display
        display(
            f"alias: {session.initiator_alias}\tsid: {session.tsih} type: {session.session_type} "
            f"session-state: {session.state}"
        )
        if not detail:
            return
        proof = f" (authenticated as {session.chap_user})" if session.chap_user else " (NOT AUTHENTICATED)"
        display(f"    name: {session.initiator_name}{proof}")
        if session.target_name:
            display(f"    target: {session.target_name}")
        for number_seen, backstore, mode in self._seen(session):
            display(f"    mapped-lun: {number_seen} backstore: {backstore.kind}/{backstore.name} mode: {mode}")
        for connection in session.connections:
            display(f"    address: {connection.peer} (TCP)  cid: {connection.cid} connection-state: {connection.state}")

    def _seen(self, session: SessionView) -> Iterator[tuple[int, BackstoreKey, str]]:
        """Each LUN that a session sees: its number there, what it is, and r or rw."""
        if not session.target_name:
            return
        target = self.editor.configuration.targets.get(IscsiName(session.target_name))
        groups = target.portal_groups if target else ()
        group = next((group for group in groups if group.tag == session.target_portal_group_tag), None)
        if group is None:  # it has just been deleted
            return
        luns = {lun.number: lun for lun in group.luns}
        for mapped in mapped_luns(group, session):
            store = self.editor.configuration.backstores[luns[mapped.tpg_lun].backstore]
            only_read = mapped.write_protect or store.read_only
            yield mapped.number, store.key, "r" if only_read else "rw"


def mapped_luns(group: PortalGroup, session: SessionView) -> Sequence[MappedLun]:
    """How an initiator sees the LUNs: by its node ACL, its initiator group, or as they are."""
    for acl in group.node_acls:
        if acl.name == session.initiator_name:
            return acl.mapped_luns
    for initiators in group.initiator_groups:
        if initiators.name == session.initiator_group:
            return initiators.mapped_luns
    protected = bool(TPG_ATTRIBUTES.with_defaults(group.attributes)["demo_mode_write_protect"])
    return [MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=protected) for lun in group.luns]
