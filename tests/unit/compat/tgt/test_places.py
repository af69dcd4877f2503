import dataclasses

import pytest

from isthmus.compat.tgt.errors import Refused
from isthmus.compat.tgt.places import TID, TidTable, group_of, target_by_tid, with_options
from isthmus.config.model import Configuration, Target
from isthmus.names import IscsiName

A, B, C = (IscsiName(f"iqn.2026-01.org.example:{name}") for name in "abc")


def configuration(**tids: int | str | None) -> Configuration:
    """Targets by the last letter of their names, with a tid or none."""
    targets = {}
    for letter, tid in tids.items():
        name = IscsiName(f"iqn.2026-01.org.example:{letter}")
        targets[name] = Target(name=name, options={} if tid is None else {TID: tid})
    return Configuration(targets=targets)


def test_who_has_no_tid_gets_one_and_keeps_it() -> None:
    """Whoever comes and goes meanwhile."""
    table = TidTable()
    assert table.tids(configuration(b=None, c=2)) == {1: B, 2: C}
    assert table.tids(configuration(a=None, b=None, c=2)) == {1: B, 2: C, 3: A}
    assert table.tids(configuration(a=None, c=2)) == {2: C, 3: A}


def test_a_tid_is_only_one_targets() -> None:
    """Whatever a document says."""
    assert TidTable().tids(configuration(a=7, b=7, c="seven")) == {1: B, 2: C, 7: A}


def test_a_target_is_found_by_its_tid() -> None:
    """Or not."""
    table, present = TidTable(), configuration(a=5)
    assert target_by_tid(present, 5, table).name == A
    for tid in (-1, 0, 1):
        with pytest.raises(Refused):
            target_by_tid(present, tid, table)
    with pytest.raises(Refused):
        group_of(present.targets[A])


def test_options_change() -> None:
    """None takes one away."""
    assert with_options({"a": 1, "b": 2}, {"a": None, "c": 3}) == {"b": 2, "c": 3}
    assert dataclasses.replace(Target(name=A), options={}) == Target(name=A)
