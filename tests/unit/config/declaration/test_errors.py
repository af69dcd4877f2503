import pytest

from isthmus.config.declaration.errors import DocumentError, DocumentPath, Position, at, path_text
from isthmus.errors import ConfigurationError


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("backstores", "disk01", "size"), "backstores.disk01.size"),
        (("targets", "iqn.2026-01.org.example:db", "luns", 0), 'targets."iqn.2026-01.org.example:db".luns[0]'),
        (("a b", 'quote"', ""), r'"a b"."quote\"".""'),
        ((2, "lun"), "[2].lun"),
    ],
)
def test_a_path_reads_as_it_is_written(path: DocumentPath, text: str) -> None:
    """Keys are joined by dots, in quotes where TOML wants them, and places in lists stand in brackets."""
    assert path_text(path) == text


def test_a_place_counts_from_one() -> None:
    """A place is shown as editors and compilers show it."""
    assert str(Position(3, 14)) == "3:14"


def test_the_path_grows_outwards() -> None:
    """Each level that an error passes puts its steps before those that are known."""
    with pytest.raises(DocumentError) as caught, at("targets", "db"), at("luns", 0):
        raise DocumentError("it is wrong", "repair it", path=("lun",))
    assert str(caught.value) == "targets.db.luns[0].lun: it is wrong: repair it"
    assert caught.value.path == ("targets", "db", "luns", 0, "lun")


def test_any_refusal_gets_its_place() -> None:
    """What the model refuses is told with the place in the document."""
    with pytest.raises(DocumentError) as caught, at("backstores", "a"):
        raise ConfigurationError("it is wrong", "repair it")
    assert str(caught.value) == "backstores.a: it is wrong: repair it"


def test_the_position_is_kept() -> None:
    """A position that is known is not lost on the way."""
    with pytest.raises(DocumentError) as caught, at("a"):
        raise DocumentError("it is wrong", position=Position(1, 2))
    assert caught.value.position == Position(1, 2)
