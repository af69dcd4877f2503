import pytest

from isthmus.config.declaration.errors import DocumentError, DocumentPath
from isthmus.config.declaration.models import Declaration

NAME = "iqn.2026-01.org.example:db"


def document(*, backstore: object = None, target: object = None) -> dict[str, object]:
    """A document with at most one of each."""
    return {
        "backstores": {} if backstore is None else {"a": backstore},
        "targets": {} if target is None else {NAME: target},
    }


def test_short_forms() -> None:
    """A portal, a LUN, an initiator and a mapped LUN may be written as what is most often all of it."""
    target = {
        "portals": ["192.0.2.7"],
        "luns": ["a"],
        "initiators": ["iqn.x", {"name": "iqn.y", "luns": [0, {"lun": 1}]}],
    }
    found = Declaration.read(document(target=target)).targets[NAME]
    assert found.portals[0].portal == "192.0.2.7"
    assert found.luns[0].backstore == "a"
    assert [initiator.name for initiator in found.initiators] == ["iqn.x", "iqn.y"]
    assert [mapped.lun for mapped in found.initiators[1].luns or ()] == [0, 1]


def test_short_forms_are_written() -> None:
    """Where a short form says it all, it is what is written."""
    target = {
        "portals": ["192.0.2.7:3260", {"portal": "192.0.2.8:3260", "iser": True}],
        "luns": [{"backstore": "a", "lun": 0}],
        "initiators": [{"name": "iqn.y", "luns": [0, {"lun": 1, "tpg_lun": 0}]}],
    }
    assert Declaration.read(document(target=target)).plain()["targets"][NAME] == target


def test_what_is_left_out_stays_so() -> None:
    """The least that a document says is that there are no backstores and no targets."""
    assert Declaration.read(document()).plain() == {"backstores": {}, "targets": {}}


def test_a_document_may_name_its_schema() -> None:
    """Editors find the schema by a key that means nothing else."""
    assert Declaration.read({"$schema": "isthmus.schema.json", **document()}).targets == {}


@pytest.mark.parametrize(
    ("wrong", "path", "problem"),
    [
        ([], (), "an object with keys is wanted here"),
        (None, (), "an object with keys is wanted here"),
        ({"backstores": {}}, ("targets",), "this key is missing"),
        ({"backstore": {}, "targets": {}}, (), "there is no key 'backstore' here: perhaps backstores?"),
        (
            document(backstore={"qqq": 1}),
            ("backstores", "a"),
            "there is no key 'qqq' here: there is kind, path, size, ",
        ),
        (document(backstore={"size": 1.5}), ("backstores", "a", "size"), "a size is wanted here"),
        (document(backstore={"size": True}), ("backstores", "a", "size"), "a size is wanted here"),
        (document(backstore={"serial": 42}), ("backstores", "a", "serial"), "a text is wanted here"),
        (document(backstore={"read_only": "yes"}), ("backstores", "a", "read_only"), "true or false is wanted here"),
        (
            document(backstore={"attributes": {"emulate_tpu": None}}),
            ("backstores", "a", "attributes", "emulate_tpu"),
            "a text, a number, true or false is wanted here",
        ),
        (document(target={"luns": "a"}), ("targets", NAME, "luns"), "a list is wanted here"),
        (document(target={"luns": [True]}), ("targets", NAME, "luns", 0), "an object with keys is wanted here"),
        (document(target={"luns": [{"lun": 1}]}), ("targets", NAME, "luns", 0, "backstore"), "this key is missing"),
        (
            document(target={"luns": [{"backstore": "a", "lun": 16384}]}),
            ("targets", NAME, "luns", 0, "lun"),
            "Input should be less than or equal to 16383",
        ),
        (
            document(target={"portal_groups": [], "luns": []}),
            ("targets", NAME),
            "luns stands beside portal_groups: write it into one of them",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_path(wrong: object, path: DocumentPath, problem: str) -> None:
    """The error names the place in the document and says what is wanted there."""
    with pytest.raises(DocumentError) as caught:
        Declaration.read(wrong)
    assert caught.value.path == path
    assert caught.value.bare_problem.startswith(problem)


def test_one_line_for_many_slips() -> None:
    """The first thing that is wrong is told in full, the others are counted."""
    with pytest.raises(DocumentError, match=r"^backstores\.a\.path: a text is wanted here .*\(and 1 more\)$"):
        Declaration.read(document(backstore={"path": 1, "read_only": 1}))


@pytest.mark.parametrize("secret", ["open sesame", ["open sesame"], {"open sesame": 1}, b"open sesame"])
@pytest.mark.parametrize("key", ["secret", "mutual_secret"])
def test_a_secret_in_a_document_is_refused_and_not_repeated(key: str, secret: object) -> None:
    """A secret that stands where a reference belongs is refused, and not shown again."""
    with pytest.raises(DocumentError, match="no secret stands in a document") as caught:
        Declaration.read(document(target={"chap": {"user": "alice", key: secret}}))
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(caught.value.__cause__)
    assert caught.value.__suppress_context__
