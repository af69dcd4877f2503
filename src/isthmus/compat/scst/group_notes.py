"""What scst.conf says of device groups and no backstore or LUN can hold: groups that are still empty, members to come.

scstadmin makes a device group first, and fills it then; a target may be in a group before it has a LUN, and may be another
server's. The sections that say so are kept as text. What backstores and LUNs hold meanwhile counts more than the text.
"""

from collections.abc import Iterable, Sequence

from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.grammar import Statement, parse
from isthmus.compat.scst.layout import Block, layout
from isthmus.config.model import Configuration

__all__ = ["notes_of", "with_notes"]


def notes_of(wanted: Iterable[Block], held: Sequence[Block]) -> str:
    """The text of those sections of `wanted` that `held` has not; empty if there are none."""
    known = {section.words[1]: _shape(section) for section in held}
    return layout([section for section in wanted if known.get(section.words[1]) != _shape(section)])


def with_notes(held: list[Block], notes: str, configuration: Configuration, names: DeviceNames) -> list[Block]:
    """The sections that backstores and LUNs hold, with what `notes` has besides."""
    statements, _ = parse(notes)
    by_name = {section.words[1]: section for section in held}
    taken = {device.words[1] for section in held for device in section.all("DEVICE")}
    reached = _reached(configuration, names)
    found = list(held)
    for noted in map(_block, statements):
        section = by_name.get(noted.words[1])
        if section is not None:
            _add_targets(section, noted, reached)
            continue
        noted.inner = [
            inner
            for inner in noted.inner
            if inner.name != "DEVICE" or (inner.words[1] not in taken and _is_bare(inner.words[1], noted, names))
        ]
        found.append(noted)
    return found


def _add_targets(section: Block, noted: Block, reached: set[tuple[str, str]]) -> None:
    """Targets without a LUN of the section's devices; where those with one belong, the LUN says."""
    devices = [device.words[1] for device in section.all("DEVICE")]
    present = {target.words[1] for group in section.all("TARGET_GROUP") for target in group.all("TARGET")}
    for group in section.all("TARGET_GROUP"):
        known = noted.find(*group.words)
        for target in known.all("TARGET") if known else ():
            name = target.words[1]
            if name not in present and not any((device, name) in reached for device in devices):
                group.inner.append(target)


def _is_bare(device: str, noted: Block, names: DeviceNames) -> bool:
    """Whether a device may be in the section though it has no groups: it is there, and the section has none."""
    return device in names and not noted.all("TARGET_GROUP")


def _reached(configuration: Configuration, names: DeviceNames) -> set[tuple[str, str]]:
    """The devices, each with the targets that have a LUN of it."""
    return {(names.of(lun.backstore) or "", target.name) for target, _, lun in configuration.luns()}


def _block(statement: Statement) -> Block:
    return Block(tuple(word.text for word in statement.words), [_block(inner) for inner in statement.section])


def _shape(section: Block) -> object:
    """What a section says, in whatever order."""
    return section.words, frozenset(_shape(inner) for inner in section.inner)
