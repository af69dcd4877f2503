"""Write docs/man: isthmus(1) and isthmusd(8) from the command line itself, isthmus.toml(5) from schema and settings.

python -m scripts.write_manual            # write them
python -m scripts.write_manual --check    # exit status 1 if one is not up to date
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from isthmus.cli.main import isthmus_command
from isthmus.config.declaration.models import schema
from scripts import roff
from scripts.manual_texts import COMMAND, DAEMON, DOCUMENT, Page
from scripts.write_settings import TABLES, default, values

ROOT: Final = Path(__file__).resolve().parent.parent
MANUAL: Final = ROOT / "docs" / "man"
DATE: Final = "2026-11-22"
"""Of the words that stand in manual_texts.py."""
_SPECIAL: Final = {"JsonValue"}
_NAMES: Final = {"Declaration": "the document"}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    behind = []
    for name, page in generate().items():
        path = MANUAL / name
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page)
        elif not path.exists() or path.read_text() != page:
            behind.append(str(path.relative_to(ROOT)))
    if behind:
        sys.stderr.write(f"not up to date: {', '.join(behind)}: run python -m scripts.write_manual\n")
    return 1 if behind else 0


def generate() -> dict[str, str]:
    """The pages as they should be, by the names of their files."""
    context = click.Context(isthmus_command, info_name="isthmus", max_content_width=1000, terminal_width=1000)
    daemon = isthmus_command.get_command(context, "daemon")
    assert daemon is not None
    return {
        "isthmus.1": _page(COMMAND, "".join(_commands(isthmus_command, context))),
        "isthmusd.8": _page(DAEMON, _options(daemon, _below(daemon, context, "isthmusd"))),
        "isthmus.toml.5": _page(DOCUMENT, "".join(_objects()) + roff.section("SETTINGS") + "".join(_settings())),
    }


def _page(page: Page, generated: str) -> str:
    """A page: what was written by hand, and what was generated where its words leave room for it."""
    parts = [roff.head(page.name, page.chapter, DATE, manual=page.manual)]
    for title, prose in page.before.items():
        parts += [roff.section(title), _prose(prose)]
    parts += [roff.section(page.generated), generated]
    for title, prose in page.after.items():
        parts += [roff.section(title), _prose(prose)]
    return '.\\" Made by scripts/write_manual.py.\n' + "".join(parts)


def _prose(prose: str | dict[str, str]) -> str:
    """Paragraphs, or terms and what they mean."""
    if isinstance(prose, str):
        return roff.paragraphs(prose)
    return "".join(roff.item(term, meaning) for term, meaning in prose.items())


# --- the command line -------------------------------------------------------------------------------------------------


def _below(command: click.Command, parent: click.Context, name: str) -> click.Context:
    return click.Context(command, info_name=name, parent=None if name == "isthmusd" else parent, max_content_width=1000)


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    """A command and all below it."""
    if isinstance(command, click.Group):
        if context.parent is None:
            yield _options(command, context)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _commands(below, _below(below, context, name))
        return
    yield roff.subsection(" ".join([context.command_path, *command.collect_usage_pieces(context)]))
    yield roff.paragraphs(command.help or "")
    yield _options(command, context)


def _options(command: click.Command, context: click.Context) -> str:
    """The options of a command, but for --help, which all have."""
    records = [
        parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)
    ]
    return "".join(roff.item(names, about) for names, about in filter(None, records))


# --- the document -----------------------------------------------------------------------------------------------------


def _objects() -> Iterator[str]:
    """Each kind of object of the schema, the document itself first."""
    whole = schema()
    yield from _object("Declaration", whole)
    for name, definition in sorted(whole["$defs"].items(), key=lambda pair: _order(pair[0], whole)):
        if name not in _SPECIAL:
            yield from _object(name, definition)


def _order(name: str, whole: dict[str, Any]) -> int:
    """Where a kind is first spoken of, so that the outer objects stand before the inner ones."""
    queue, seen = [whole["properties"]], ["Declaration"]
    while queue:
        for found in re.findall(r"#/\$defs/(\w+)", str(queue.pop(0))):
            if found not in seen:
                seen.append(found)
                queue.append(whole["$defs"][found].get("properties", {}))
    return seen.index(name)


def _object(name: str, definition: dict[str, Any]) -> Iterator[str]:
    yield roff.subsection(_title(name))
    yield roff.paragraphs(definition.get("description", ""))
    required = definition.get("required", [])
    for key, value in definition["properties"].items():
        notes = [_kind(value), *(["required"] if key in required else _default(value))]
        yield roff.item(key, f"({'; '.join(notes)}) {value.get('description', '')}")


def _title(name: str) -> str:
    """`MappedLunDeclaration` as words."""
    plain = name.removesuffix("Declaration")
    words = " ".join(re.findall(r"[A-Z][a-z]*", plain)).lower()
    return _NAMES.get(name, re.sub(r"\b(lun|chap|alua)\b", lambda found: found[0].upper(), words))


def _default(value: dict[str, Any]) -> list[str]:
    given = value.get("default")
    return [] if given in (None, "", [], {}) else [f"default: {str(given).lower()}"]


def _kind(value: dict[str, Any]) -> str:
    """What stands there, in words."""
    if alternatives := value.get("anyOf"):
        kinds = [_kind(one) for one in alternatives if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if reference := value.get("$ref"):
        return _title(reference.rpartition("/")[2]).replace("json value", "anything")
    if choice := value.get("enum"):
        return " or ".join(f'"{word}"' for word in choice)
    return _plain_kind(value)


def _plain_kind(value: dict[str, Any]) -> str:
    match value.get("type"):
        case "array":
            return f"list of {_kind(value['items'])}"
        case "object" if "properties" in value:
            return "table of settings, see below"
        case "object":
            return f"table of {_kind(value['additionalProperties'])}"
        case "integer" if "maximum" in value:
            return f"{value['minimum']} to {value['maximum']}"
        case kind:
            return {"string": "text", "integer": "number", "boolean": "true or false"}[str(kind)]


def _settings() -> Iterator[str]:
    """All tables of settings."""
    for title, table in TABLES.items():
        yield roff.subsection(title)
        for setting in table:
            yield roff.item(setting.name, f"({values(setting)}; default: {default(setting)}) {setting.about}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
