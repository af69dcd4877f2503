import re
from pathlib import Path

import pytest

from isthmus.config.declaration.configure import Surroundings
from isthmus.config.declaration.loading import load_document
from isthmus.config.declaration.notation import Notation
from isthmus.config.model import BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

SURROUNDINGS = Surroundings(
    running=Configuration(), absolute_path=str, read_secret=str, new_serial=lambda key: f"new {key}"
)


def load(text: str, notation: Notation, name: str = "san") -> Configuration:
    """`load_document` where nothing runs."""
    return load_document(text, notation, name=name, surroundings=SURROUNDINGS)


@pytest.mark.parametrize(
    ("notation", "text"),
    [
        (Notation.TOML, '[backstores.a]\nkind = "ramdisk"\nsize = "1M"\n[targets]\n'),
        (Notation.YAML, "backstores:\n  a: {kind: ramdisk, size: 1M}\ntargets: {}\n"),
        (Notation.JSON, '{"backstores": {"a": {"kind": "ramdisk", "size": "1M"}}, "targets": {}}'),
    ],
)
def test_every_notation_means_the_same(notation: Notation, text: str) -> None:
    """One schema: the same document in three notations asks for the same."""
    assert load(text, notation).backstores[BackstoreKey("ramdisk", "a")].size == 1 << 20


@pytest.mark.parametrize(
    ("notation", "text", "message"),
    [
        (Notation.TOML, "a = = 1", "san:1:5: this is not TOML: Invalid value"),
        (Notation.TOML, "[targets]\n", "san: backstores: this key is missing"),
        (Notation.JSON, '{"backstores": {}, "targets": {}, "x": 1}', "san: there is no key 'x' here: there is "),
        (
            Notation.YAML,
            "backstores:\n  a: {kind: ramdisk, size: 1X}\ntargets: {}\n",
            "san:2:28: backstores.a.size: '1X' is not a size: write a whole number",
        ),
        (
            Notation.JSON,
            '{"backstores": {"a": {"kind": "null", "serial": "1"}, "b": {"kind": "null", "serial": "1"}}, "targets": {}}',
            "san: serial number 1 is there twice: each has its own",
        ),
    ],
)
def test_errors_name_the_file_and_the_place(notation: Notation, text: str, message: str) -> None:
    """An error begins with the file, then the line and column where they are known, then the path."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, notation)
    assert str(caught.value).startswith(message)


def test_the_users_guides_example() -> None:
    """The example that people copy asks for what is written beside it."""
    guide = (Path(__file__).parents[4] / "docs" / "user-guide.md").read_text()
    (example,) = re.findall(r"```toml\n(# san\.toml\n.*?)```", guide, re.DOTALL)
    found = load(example, Notation.TOML)
    assert found.backstores[BackstoreKey("fileio", "db")].size == 200 << 30
    assert found.backstores[BackstoreKey("block", "archive")].attributes == {"emulate_tpu": 1}
    (group,) = found.targets[IscsiName("iqn.2026-01.com.example:san")].portal_groups
    assert [str(portal) for portal in group.portals] == ["192.0.2.7:3260", "[2001:db8::7]:3260"]
    assert group.attributes == {"authentication": 1}
    backup, database = group.node_acls
    assert [(mapped.number, mapped.tpg_lun, mapped.write_protect) for mapped in backup.mapped_luns] == [(0, 1, True)]
    assert [(mapped.number, mapped.tpg_lun, mapped.write_protect) for mapped in database.mapped_luns] == [
        (0, 0, False),
        (1, 1, False),
    ]
    assert (database.chap.userid, database.chap.password) == ("db1", "secrets/db1")
