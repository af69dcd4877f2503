"""rtslib's own loader of saveconfig.json, with the kernel left out.

`RTSRoot.restore`, the `setup` methods and `set_attributes` are rtslib's. Of its classes, what writes to configfs is
taken away: each takes the arguments that the real one takes, and remembers what is set on it. Setting what the real
class does not have, or has for reading only, is an error, as in rtslib.
"""

import copy
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import rtslib_fb.alua
import rtslib_fb.fabric
import rtslib_fb.root
import rtslib_fb.target
import rtslib_fb.tcm

__all__ = ["Restored", "restore"]

_OBJECTS = {
    rtslib_fb.target: ("Target", "TPG", "LUN", "NetworkPortal", "NodeACL", "MappedLUN"),
    rtslib_fb.alua: ("ALUATargetPortGroup",),
}


class Restored:
    """What rtslib would have made in the kernel."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        """The kind of each object, and its arguments."""
        self.errors: list[str] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The objects of a kind, with arguments and what was set on them."""
        return [fields for name, fields in self.made if name == kind]


def restore(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> Restored:
    """Have rtslib load a saved form."""
    restored = Restored()
    for module, names in _OBJECTS.items():
        for name in names:
            monkeypatch.setattr(module, name, _stand_in(getattr(module, name), restored))
    mapping = {
        kind: _stand_in(real, restored, name=kind, attributes={"plugin": kind})
        for kind, real in rtslib_fb.root.so_mapping.items()
    }
    monkeypatch.setattr(rtslib_fb.root, "so_mapping", mapping)
    monkeypatch.setattr(rtslib_fb.root, "Target", rtslib_fb.target.Target)
    monkeypatch.setattr(rtslib_fb.root, "ALUATargetPortGroup", rtslib_fb.alua.ALUATargetPortGroup)
    stores = [entry for entry in document["storage_objects"] if "name" in entry]
    found = [SimpleNamespace(name=entry["name"], plugin=entry["plugin"]) for entry in stores]
    monkeypatch.setattr(rtslib_fb.tcm.StorageObject, "all", classmethod(lambda _: found))
    fabric = _stand_in(rtslib_fb.fabric.ISCSIFabricModule, restored)()
    object.__setattr__(fabric, "name", "iscsi")
    monkeypatch.setattr(rtslib_fb.root, "FabricModule", lambda _: fabric)
    root = SimpleNamespace(storage_objects=[], targets=[], fabric_modules=[fabric])
    restored.errors = rtslib_fb.root.RTSRoot.restore(root, copy.deepcopy(document))
    return restored


def _stand_in(real: type, restored: Restored, *, name: str = "", attributes: dict[str, Any] | None = None) -> type:
    """A class that takes what `real` takes, and remembers it."""
    signature = inspect.signature(real.__init__)  # type: ignore[misc]  # that of this very class

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  it becomes one
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        object.__setattr__(self, "fields", {**arguments, "attributes": {}, "parameters": {}})
        restored.made.append((name or real.__name__, self.fields))
        parent = arguments.get("parent_tpg")
        if real.__name__ == "LUN" and parent is not None:
            parent.fields.setdefault("luns", []).append(SimpleNamespace(lun=arguments["lun"]))

    def __setattr__(self: Any, key: str, value: Any) -> None:  # noqa: N807  it becomes one
        known = getattr(real, key, None)
        if isinstance(known, property) and known.fset is None:
            raise AttributeError(f"can't set {key}")
        self.fields[key] = value
        if known is None and (real.__name__, key) != ("MappedLUN", "tag"):  # rtslib sets it, and nobody reads it
            restored.errors.append(f"{real.__name__} has no {key}")
            raise AttributeError(key)

    def __getattribute__(self: Any, key: str) -> Any:  # noqa: N807  it becomes one
        fields = object.__getattribute__(self, "__dict__").get("fields", {})
        return (
            fields[key]
            if key in fields and key not in {"attributes", "parameters"}
            else object.__getattribute__(self, key)
        )

    members = {
        "__init__": __init__,
        "__setattr__": __setattr__,
        "__getattribute__": __getattribute__,
        "luns": [],
        "set_attribute": lambda self, key, value: self.fields["attributes"].__setitem__(key, value),
        "set_parameter": lambda self, key, value: self.fields["parameters"].__setitem__(key, value),
        **(attributes or {}),
    }
    return type(real.__name__, (real,), members)
