"""targets.conf as a configuration: what tgt-admin would have tgtadm do, done to a value."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from isthmus.compat.importer import Finding, Imported, Surroundings
from isthmus.compat.tgt.devices import device_parameters
from isthmus.compat.tgt.directives import GLOBAL, LUN, STORES, TARGET, DirectiveRow
from isthmus.compat.tgt.errors import Refused
from isthmus.compat.tgt.grammar import Block, Directive, Place, parse
from isthmus.compat.tgt.operations import EDITS
from isthmus.compat.tgt.places import Surroundings as TgtSurroundings
from isthmus.compat.tgt.places import TidTable
from isthmus.compat.tgt.plan import Known, Skipped, Step, Unit, discovery_steps, isns_steps, target_steps
from isthmus.config.model import KEPT, Configuration
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["read"]

_PLACEHOLDER: Final = "PLEASE_CORRECT_THE_PASSWORD"
"""What `tgt-admin --dump` writes for a secret."""
_IGNORED: Final = "it is ignored, as by tgt-admin"


def read(text: str, name: str, surroundings: Surroundings) -> Imported:
    """See `importer.Reader`."""
    tree = parse(text, name, surroundings)
    importer = _Importer(surroundings)
    for note in tree.notes:
        importer.find(note.place, note.meaning, note.instead)
    importer.whole(tree.root)
    findings = sorted(importer.findings, key=lambda finding: (finding.file != name, finding.file, finding.line))
    return Imported(importer.configuration, tuple(findings))


class _Importer:
    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        served = {store.path for store in surroundings.running.backstores.values()}
        self._around = TgtSurroundings(
            new_serial=surroundings.new_serial,
            kind_of=surroundings.kind_of,
            # A disk that moves here is the disk that its initiators know; one that is here already is that, too.
            has_tgts_names=lambda path: path not in served,
        )
        self._accounts: Known = {}
        self._running_tids = {name: tid for tid, name in TidTable().tids(surroundings.running).items()}
        self._taken = set(self._running_tids.values())
        self.configuration = Configuration()
        self.findings: list[Finding] = []

    def find(self, place: Place, meaning: str, instead: str) -> None:
        """Something is not done as it says."""
        self.findings.append(Finding(place.file, place.line, meaning, instead))

    def whole(self, root: Block) -> None:
        """All of a file."""
        self._look_at(root, GLOBAL, ("target",), "targets.conf")
        for name, default in (("default-driver", "iscsi"), ("control-port", "0")):
            for directive in root.directives(name):
                if directive.value != default:
                    self.find(directive.place, f"{name} {directive.value}", "there is iSCSI over TCP, and one daemon")
        self._do(isns_steps(root))
        self._do(discovery_steps(root, self._accounts))
        for target in self._merged(root.blocks("target")):
            self._target(target)

    def _merged(self, targets: Iterable[Block]) -> list[Block]:
        """In the order of their names; blocks of one name are one target."""
        merged: dict[str, Block] = {}
        for block in targets:
            if not block.argument:
                self.find(block.place, "a target without a name", "it is left out")
            elif block.argument in merged:
                merged[block.argument].entries += block.entries
            else:
                merged[block.argument] = block
        return [merged[name] for name in sorted(merged)]

    def _target(self, target: Block) -> None:
        self._look_at(target, TARGET, STORES, "a target")
        for store in (block for name in STORES for block in target.blocks(name)):
            self._look_at(store, LUN, (), "a backing store")
        for directive in target.directives("driver"):
            if directive.value != "iscsi":
                self.find(directive.place, f"driver {directive.value}", "it is iSCSI over TCP")
        before = self.configuration
        steps = list(
            target_steps(target, self._tid(target), self._accounts, device_parameters, self._problem, names_alone=True)
        )
        self._do(steps)
        if before.targets.keys() == self.configuration.targets.keys():
            # Without the target, what stands at it has nothing to stand at.
            self.configuration = dataclasses.replace(before, accounts=self.configuration.accounts)

    def _look_at(self, block: Block, rows: Mapping[str, DirectiveRow], inner: tuple[str, ...], what: str) -> None:
        """Tell of what has no meaning there, and of what is there too often."""
        counted: dict[str, int] = {}
        for entry in block.entries:
            known = entry.name in inner if isinstance(entry, Block) else entry.name in rows
            if not known:
                self.find(entry.place, f"{what} has no {entry.name}", _IGNORED)
            elif isinstance(entry, Directive):
                counted[entry.name] = counted.get(entry.name, 0) + 1
                if not entry.raw:
                    self.find(entry.place, f"{entry.name} has no value", "it is left out")
        block.entries = [entry for entry in block.entries if isinstance(entry, Block) or entry.raw]
        for name, count in counted.items():
            if count > 1 and not rows[name].repeats and rows is LUN:
                self.find(block.directives(name)[0].place, f"{name} is there {count} times", "the last one counts")

    def _tid(self, target: Block) -> int:
        """The one that it names, or has already; else the lowest that nobody has."""
        for directive in target.directives("controller_tid"):
            if directive.value.isascii() and directive.value.isdigit() and int(directive.value[:9]) > 0:
                return int(directive.value[:9])
            self.find(directive.place, f"controller_tid {directive.value}", "it gets the next number")
        try:
            running = self._running_tids.get(IscsiName(target.argument))
        except ConfigurationError:
            running = None
        used = set(self._around.tids.tids(self.configuration))
        if running is not None and running not in used:
            return running
        return next(tid for tid in range(1, len(used) + len(self._taken) + 2) if tid not in used | self._taken)

    def _problem(self, unit: Unit) -> str:
        """What tgt-admin would not even try."""
        if unit.path.startswith("NONE:") or unit.value("bs-type") in {"null", "rbd", "glfs"}:
            return ""
        found = self._surroundings.kind_of(unit.path)
        return "it does not exist, so it is left out" if found == "absent" else ""

    # -- Steps ---------------------------------------------------------------------------------------------------------

    def _do(self, steps: Iterable[Step | Skipped]) -> None:
        failed: set[int] = set()
        for step in self._with_secrets(steps):
            if isinstance(step, Skipped):
                self.find(step.place, step.meaning, step.instead)
                continue
            if step.lun in failed:
                continue
            problem = self._problem_of(step)
            if problem:
                if step.lun is not None and "new" in step.arguments:
                    failed.add(step.lun)
                self.find(step.place, problem, "it is left out")
                if "target" in step.arguments and "new" in step.arguments:
                    return

    def _problem_of(self, step: Step) -> str:
        """Do it; gives why it cannot be done."""
        try:
            request = step.request
            edit = EDITS[request.mode, request.operation]
            self.configuration = edit(self.configuration, request, self._around)
        except (Refused, ConfigurationError) as error:
            return f"tgtadm {step}: {error}"
        return ""

    def _with_secrets(self, steps: Iterable[Step | Skipped]) -> Iterator[Step | Skipped]:
        """A secret that is not in the file is the one that runs, if there is one."""
        for step in steps:
            if isinstance(step, Step) and {_PLACEHOLDER, KEPT} & set(step.arguments):
                user = step.arguments[step.arguments.index("--user") + 1]
                if user not in self._kept_users():
                    self._accounts.pop(user, None)
                    yield Skipped(step.place, f"the secret of {user} is not in the file", "the account is left out")
                    continue
                arguments = tuple(KEPT if word == _PLACEHOLDER else word for word in step.arguments)
                step = dataclasses.replace(step, arguments=arguments)
            yield step

    def _kept_users(self) -> set[str]:
        return {account.userid for account in self._surroundings.running.accounts}
