"""The published schema must say what documents may hold."""

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from isthmus.config.declaration.declare import declare
from isthmus.config.declaration.models import schema
from isthmus.config.model import Configuration
from scripts import write_schema
from tests.support.configurations import configurations

VALIDATOR = Draft202012Validator(schema())


def test_the_schema_is_up_to_date() -> None:
    """The file in docs is the one that the models give."""
    assert write_schema.SCHEMA.read_text() == write_schema.generate(), "run scripts/write_schema.py"


def test_the_schema_is_one() -> None:
    """It follows the dialect of JSON Schema that it names."""
    Draft202012Validator.check_schema(schema())


@given(configurations())
def test_it_takes_every_exported_document(configuration: Configuration) -> None:
    """What `isthmus export` writes is valid by the schema."""
    VALIDATOR.validate(declare(configuration).plain())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"backstores": {}},
        {"backstores": {"a": {"kind": "fileio", "sise": "1G"}}, "targets": {}},
        {"backstores": {"a": {"kind": "fileio", "size": "1X"}}, "targets": {}},
        {"backstores": {"a": {"kind": "fileio", "attributes": {"block_size": 8192}}}, "targets": {}},
        {"backstores": {}, "targets": {"iqn.2026-01.org.example:a": {"luns": [7]}}},
        {"backstores": {}, "targets": {"iqn.2026-01.org.example:a": {"luns": [], "portal_groups": []}}},
        {"backstores": {}, "targets": {}, "discovery": {"chap": {"user": "a", "secret": "open to all"}}},
    ],
)
def test_it_refuses_what_is_wrong(document: object) -> None:
    """What cannot be applied for its form alone is refused by the schema too."""
    assert not VALIDATOR.is_valid(document)
