"""Who asks for something: what the audit trail has of them, and nothing that they say of themselves."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Caller"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody at one of the faces."""

    face: str
    """Where they ask: `control socket`, `REST`, `SIGHUP`, …"""
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    """As the kernel knows the peer of a unix socket; None: it is none."""
    address: str = ""
    """ADDRESS:PORT of a peer on the network."""

    @classmethod
    def of(cls, who: "Caller | str") -> "Caller":
        """A caller who is known by a word only, such as a signal."""
        return who if isinstance(who, Caller) else cls(face=who)

    def __str__(self) -> str:
        known = [f"{name} {value}" for name, value in (("uid", self.uid), ("pid", self.pid)) if value is not None]
        return " ".join((self.face, *known, self.address)).strip()

    def values(self) -> dict[str, Any]:
        """What events and the audit trail say of them; what is not known is left out."""
        return {
            "who": self.face,
            **{name: value for name in ("uid", "gid", "pid") if (value := getattr(self, name)) is not None},
            **({"address": self.address} if self.address else {}),
        }
