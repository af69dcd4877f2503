"""tgt-admin: targets.conf carried out by calls of tgtadm, one after the other, on a daemon that runs.

What it prints, and when it stops, is as with tgt-admin; but nothing goes through a shell, and no secret is printed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from isthmus.compat.tgt.arguments import parse_arguments
from isthmus.compat.tgt.devices import device_parameters
from isthmus.compat.tgt.errors import MESSAGES, Status
from isthmus.compat.tgt.grammar import Block, Place, quoted
from isthmus.compat.tgt.plan import Known, Skipped, Step, Unit, discovery_steps, isns_steps, target_steps
from isthmus.compat.tgt.seen import SeenTarget, seen_targets
from isthmus.compat.tgt.wire import Request, Response
from isthmus.config.access_lists import canonical_addresses
from isthmus.errors import ConfigurationError

__all__ = ["Admin", "AdminStopped"]

_EXIT_STATUS = 22
"""What tgtadm ends with after every refusal, and tgt-admin then, too."""
_NOWHERE = Place("", 0, 0)
_ALL = "ALL"
_BY_TID = "tid="


class AdminStopped(ConfigurationError):
    """A call was refused, so nothing more is done; `status` is what tgt-admin ends with."""

    def __init__(self, problem: str, status: int = _EXIT_STATUS) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(slots=True)
class Admin:
    """One run of tgt-admin."""

    ask: Callable[[Request], Response]
    say: Callable[[str], None]
    kind_of: Callable[[str], str]
    control_port: int = 0
    force: bool = False
    pretend: bool = False
    verbose: bool = False
    ignore_errors: bool = False
    _accounts: Known = field(default_factory=dict)

    # -- What is there -------------------------------------------------------------------------------------------------

    def shown(self) -> str:
        """All targets, as text."""
        return self._asked("--op", "show", "--mode", "target")

    def _targets(self) -> dict[str, SeenTarget]:
        return {target.name: target for target in seen_targets(self.shown())}

    def _learn_accounts(self) -> None:
        lines = self._asked("--op", "show", "--mode", "account").splitlines()[1:]
        self._accounts = {line.strip(): None for line in lines}

    def _asked(self, *arguments: str) -> str:
        response = self.ask(parse_arguments(arguments).request)
        if response.status != Status.SUCCESS:
            raise AdminStopped(MESSAGES.get(response.status, "unknown error"))
        return response.text

    # -- What is done --------------------------------------------------------------------------------------------------

    def execute(self, root: Block) -> None:
        """Add what the file has and is not there; take away what is there and the file has not."""
        self._learn_accounts()
        self._whole(root)
        present = self._targets()
        wanted = _by_name(root)
        for name, target in wanted.items():
            if name in present:
                self._comment(f"# Target {name} already exists!")
            else:
                self._create(target, max((seen.tid for seen in present.values()), default=0) + 1)
                present = self._targets() if not self.pretend else {**present, name: _made(present, name)}
        for seen in self._targets().values():
            if seen.name not in wanted and wanted:
                self._delete(seen)

    def update(self, root: Block, which: str) -> None:
        """Make targets anew that nobody uses (with force: all), and take away those that the file does not have."""
        self._learn_accounts()
        present, wanted = self._targets(), _by_name(root)
        if which == _ALL:
            names = [name for name in present if name not in wanted] + list(wanted)
        else:
            names = [self._named(present, which) if which.startswith(_BY_TID) else which]
        for name in names:
            if name not in present and name not in wanted:
                raise AdminStopped(
                    f"Target {name} is currently not configured\nand does not exist in the config file - can't continue!",
                    1,
                )
            is_gone = name not in present or self._delete(present[name], "updated")
            if name in wanted and is_gone:
                self._whole(root)
                highest = max((seen.tid for seen in self._targets().values()), default=0)
                self._create(wanted[name], present[name].tid if name in present else highest + 1)

    def delete(self, which: str) -> None:
        """ALL, tid=N or a name: those that nobody uses; with force, in any case."""
        present = self._targets()
        if which == _ALL:
            for seen in present.values():
                self._delete(seen)
            return
        for seen in present.values():
            if which in {seen.name, f"{_BY_TID}{seen.tid}"}:
                self._delete(seen)
                return
        tid = which.removeprefix(_BY_TID)
        self._comment(f"# Target with {'tid' if tid != which else 'name'} {tid} does not exist!")

    def set_state(self, which: str, state: str) -> None:
        """ALL, tid=N or a name: `ready` or `offline`."""
        present = self._targets()
        tids = [str(seen.tid) for seen in present.values() if which in {_ALL, seen.name}]
        if which.startswith(_BY_TID):
            tids = [which.removeprefix(_BY_TID)]
        if not tids and which != _ALL:
            raise AdminStopped(f'There is no target with name "{which}", can\'t {state} it!', 1)
        for tid in tids:
            self.call("--op", "update", "--mode", "target", "--tid", tid, "-n", "state", "-v", state)

    def dump(self) -> str:
        """A targets.conf of what is there. Unlike tgt-admin's, networks are addresses in it, and so nobody else is let in."""
        lines = ["default-driver iscsi", ""]
        for seen in self._targets().values():
            lines.append(f"<target {seen.name}>")
            lines += [f"\tbacking-store {_path(store)}" for store in seen.stores]
            lines += [f"\tincominguser {user} PLEASE_CORRECT_THE_PASSWORD" for user in seen.incoming]
            lines += [f"\toutgoinguser {user} PLEASE_CORRECT_THE_PASSWORD" for user in seen.outgoing]
            if seen.rules != [_ALL]:
                lines += [f"\t{_rule(rule)}" for rule in seen.rules]
            lines += ["</target>", ""]
        return "\n".join(lines) + "\n"

    # -- Parts of it ---------------------------------------------------------------------------------------------------

    def _whole(self, root: Block) -> None:
        self.ignore_errors |= any(directive.value == "yes" for directive in root.directives("ignore-errors"))
        self._do(isns_steps(root))
        self._do(discovery_steps(root, self._accounts))

    def _create(self, target: Block, tid: int) -> None:
        for directive in target.directives("controller_tid")[:1]:
            tid = int(directive.value) if directive.value.isascii() and directive.value.isdigit() else tid
        self._comment(f"# Adding target: {target.argument}")
        self._do(target_steps(target, tid, self._accounts, device_parameters, self._problem))

    def _problem(self, unit: Unit) -> str:
        if unit.path.startswith("NONE:") or unit.value("bs-type") in {"rbd", "glfs"}:
            return ""
        if self.kind_of(unit.path) == "absent":
            return f"{unit.path} does not exist - please check the configuration file"
        return ""

    def _delete(self, seen: SeenTarget, what: str = "deleted") -> bool:
        """Whether it goes."""
        tid = str(seen.tid)
        if seen.connections and not self.force:
            self._comment(f"# Target with tid {tid} ({seen.name}) is in use, it won't be {what}.")
            return False
        self._comment(f"# Removing target: {seen.name}")
        if seen.connections:
            for rule in seen.rules:
                option = "-I" if _is_address(rule) else "-Q"
                self.call("--op", "unbind", "--mode", "target", "--tid", tid, option, rule)
            for session, connection in seen.connections:
                at = ("--tid", tid, "--sid", str(session), "--cid", str(connection))
                self.call("--op", "delete", "--mode", "conn", *at)
        force = ("--force",) if seen.connections else ()
        self.call("--mode", "target", "--op", "delete", *force, "--tid", tid)
        return True

    def _named(self, present: dict[str, SeenTarget], which: str) -> str:
        for seen in present.values():
            if which == f"{_BY_TID}{seen.tid}":
                return seen.name
        raise AdminStopped(f"There is no target with tid {which.removeprefix(_BY_TID)}, can't continue!", 1)

    def _do(self, steps: Iterable[Step | Skipped]) -> None:
        for step in steps:
            if isinstance(step, Skipped):
                self._comment(f"# {step.meaning}: {step.instead}")
            else:
                self._run(step)

    def call(self, *arguments: str) -> None:
        """Have one call of tgtadm done, or printed; raises `AdminStopped`."""
        self._run(Step(arguments, _NOWHERE))

    def _run(self, step: Step) -> None:
        line = f"tgtadm -C {self.control_port} {step}"
        if self.pretend or self.verbose:
            self.say(line)
        if self.pretend:
            return
        response = self.ask(step.request)
        if response.status != Status.SUCCESS and not self.ignore_errors:
            why = MESSAGES.get(response.status, "unknown error")
            raise AdminStopped(f"tgtadm: {why}\nCommand:\n\t{line}\nexited with code: {_EXIT_STATUS}.")

    def _comment(self, text: str) -> None:
        if self.pretend or self.verbose:
            self.say(text)


def _by_name(root: Block) -> dict[str, Block]:
    """Blocks of one name are one target."""
    found: dict[str, Block] = {}
    for block in root.blocks("target"):
        if block.argument in found:
            found[block.argument].entries += block.entries
        elif block.argument:
            found[block.argument] = block
    return dict(sorted(found.items()))


def _made(present: dict[str, SeenTarget], name: str) -> SeenTarget:
    """What would be there, had it been made."""
    return SeenTarget(max((seen.tid for seen in present.values()), default=0) + 1, name, [], [], [], [], [], [])


def _is_address(rule: str) -> bool:
    try:
        canonical_addresses(rule)
    except ValueError:
        return False
    return True


def _rule(rule: str) -> str:
    return f"initiator-address {rule}" if _is_address(rule) else f"initiator-name {rule}"


def _path(store: str) -> str:
    return quoted(store) if "#" in store else store
