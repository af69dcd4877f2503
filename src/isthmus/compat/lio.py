"""LIO's saveconfig.json, which is the saved form here, too."""

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from isthmus.backstores.registry import kinds
from isthmus.backstores.user import other_way
from isthmus.compat.importer import Finding, Imported, ImportSyntaxError, Surroundings
from isthmus.compat.json_places import nearest, places
from isthmus.config.declaration.errors import DocumentPath, Position
from isthmus.config.document import SavedFormError, read_parts
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.errors import ConfigurationError
from isthmus.management.backstore_edits import delete_backstore

__all__ = ["read"]


def read(text: str, name: str, surroundings: Surroundings) -> Imported:  # noqa: ARG001  the file says it all
    """See `importer.Reader`."""
    document = _parsed(text, name)
    known = places(text)
    try:
        configuration, remarks = read_parts(document)
    except SavedFormError as error:
        at = nearest(known, error.path)
        raise ImportSyntaxError(name, at.line, at.column, error.problem, error.remedy) from None
    findings = [Finding(name, nearest(known, remark.path).line, remark.where, remark.what) for remark in remarks]
    others = {store.key: why for store in configuration.backstores.values() if (why := _other_way(store))}
    findings += _left_out(document, others, name, known)
    served = reduce(delete_backstore, others, configuration)
    try:
        served.check()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error.problem}", error.remedy) from None
    return Imported(served, tuple(sorted(findings, key=lambda finding: finding.line)))


def _parsed(text: str, name: str) -> Any:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ImportSyntaxError(name, error.lineno, error.colno, f"this is not JSON: {error.msg}") from None
    except RecursionError:
        raise ImportSyntaxError(name, 1, 1, "this is nested too deeply") from None
    except ValueError as error:  # a number of more digits than Python takes
        raise ImportSyntaxError(name, 1, 1, f"this is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ImportSyntaxError(name, 1, 1, "this is not an object", "see saveconfig.json(5)")
    return document


def _other_way(store: Backstore) -> str:
    """Why a backstore cannot be served; empty: it can."""
    if store.key.kind not in kinds():
        return "there is no such kind here"
    return other_way(str(store.options.get("config", ""))) if store.key.kind == "user" else ""


def _left_out(
    document: Mapping[str, Any], others: Mapping[BackstoreKey, str], name: str, known: Mapping[DocumentPath, Position]
) -> Iterator[Finding]:
    """What is told of backstores that there are not here, and of their LUNs."""
    for index, store in enumerate(document.get("storage_objects", ())):
        key = BackstoreKey(store["plugin"], store["name"])
        if key in others:
            line = nearest(known, ("storage_objects", index)).line
            yield Finding(name, line, str(key), f"{others[key]}; it is left out, with its LUNs")
    paths = {str(key) for key in others}
    for target, tpg, lun in _luns(document):
        entry = document["targets"][target]["tpgs"][tpg]["luns"][lun]
        if entry["storage_object"] in paths:
            line = nearest(known, ("targets", target, "tpgs", tpg, "luns", lun)).line
            yield Finding(name, line, f"LUN {entry['index']} is {entry['storage_object']}", "it is left out")


def _luns(document: Mapping[str, Any]) -> Iterator[tuple[int, int, int]]:
    """The indexes that lead to each LUN of an iSCSI target."""
    for target, entry in enumerate(document.get("targets", ())):
        if entry.get("fabric", "iscsi") == "iscsi":
            for tpg, group in enumerate(entry.get("tpgs", ())):
                for lun in range(len(group.get("luns", ()))):
                    yield target, tpg, lun
