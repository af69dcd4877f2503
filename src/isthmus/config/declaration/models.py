"""What a document may hold: its keys and their types. The published schema is generated from here.

These models say what a value looks like; what it means, and whether it can be, is for `configure`.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from isthmus.config.declaration.errors import DocumentError
from isthmus.config.model import KEPT, MAX_LUN, MAX_TAG
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    Ascii,
    Choice,
    Flag,
    Hexadecimal,
    Host,
    ListOf,
    Number,
    OneOf,
    Setting,
    SettingTable,
    Text,
)

__all__ = [
    "AluaGroupDeclaration",
    "BackstoreDeclaration",
    "ChapDeclaration",
    "Declaration",
    "DiscoveryDeclaration",
    "GroupDeclaration",
    "InitiatorDeclaration",
    "InitiatorGroupDeclaration",
    "LunDeclaration",
    "MappedLunDeclaration",
    "PortalDeclaration",
    "PortalGroupDeclaration",
    "TargetDeclaration",
    "schema",
]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


# -- Values ------------------------------------------------------------------------------------------------------------


def _setting_schema(setting: Setting) -> dict[str, Any]:
    """What JSON Schema can say of one setting."""
    described: dict[str, Any] = {"description": setting.about, "default": setting.default}
    kind = setting.kind
    if setting.fixed:
        return {**described, "const": setting.default}
    if isinstance(kind, Flag):
        return {**described, "enum": [0, 1, False, True]}
    if isinstance(kind, Number):
        return {**described, "type": "integer", "minimum": 0 if kind.or_zero else kind.low, "maximum": kind.high}
    if isinstance(kind, OneOf):
        return {**described, "enum": list(kind.numbers)}
    if isinstance(kind, Choice):
        return {**described, "enum": list(kind.words)}
    if isinstance(kind, ListOf):
        return {**described, "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    if isinstance(kind, Host | Hexadecimal):
        return {**described, "type": "string"}
    if isinstance(kind, Text | Ascii):
        return {**described, "type": "string", "maxLength": kind.longest}
    word = f"({'|'.join(kind.words)})"
    return {**described, "type": "string", "pattern": f"^{word}(,{word})*$"}


def _scalar(value: object) -> object:
    if isinstance(value, list | tuple):
        if any(not isinstance(item, str) or "," in item for item in value):
            raise PydanticCustomError("texts", "a list of texts without commas is wanted here")
        return ",".join(value)
    if not isinstance(value, bool | int | str):
        raise PydanticCustomError("scalar", "a text, a number, true or false is wanted here")
    return value


def _settings_schema(table: SettingTable) -> WithJsonSchema:
    properties = {setting.name: _setting_schema(setting) for setting in table}
    return WithJsonSchema({"type": "object", "properties": properties, "additionalProperties": False})


Scalar = Annotated[bool | int | str, BeforeValidator(_scalar)]
_Settings = dict[str, Scalar]


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("size", "a size is wanted here, like 10G, or a number of bytes")
    return value


Size = Annotated[
    int | str,
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^[0-9]+ ?[kmgtpKMGTP]?([iI]?[bB])?$", "examples": ["10G"]},
            ]
        }
    ),
]


def _hidden_secret(value: object) -> object:
    # What stands here by mistake may be the secret: the error must not repeat it.
    if not isinstance(value, str) or value not in {KEPT, ""}:
        raise PydanticCustomError(
            "secret",
            "no secret stands in a document: name its file with secret_file or mutual_secret_file, or write {kept}",
            {"kept": KEPT},
        )
    return value


Secret = Annotated[Literal["(kept)", ""], BeforeValidator(_hidden_secret)]


def _short_form(key: str, *kinds: type) -> Callable[[object], object]:
    """A lone value of `kinds` stands for an object with nothing but `key`."""

    def expanded(value: object) -> object:
        return {key: value} if isinstance(value, kinds) and not isinstance(value, bool) else value

    return expanded


def _listed(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("list", "a list is wanted here")
    return tuple(value)


_List: Final = BeforeValidator(_listed)

# -- Objects -----------------------------------------------------------------------------------------------------------


class _Part(BaseModel):
    """An object of the document."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        """Refuse what is no object, and a key that there is not, with what it could have been."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("object", "an object with keys is wanted here")
        keys = [field.alias or name for name, field in cls.model_fields.items()]
        for key in value:
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, 1)
                hint = f"perhaps {close[0]}?" if close else f"there is {', '.join(keys)}"
                raise PydanticCustomError("key", "there is no key {key} here: {hint}", {"key": repr(key), "hint": hint})
        return value


class AccountDeclaration(_Part):
    """A user and where its secret is."""

    user: str
    secret_file: str | None = None
    """The file with its secret as the only line, closed to other users; relative to the document."""
    secret: Secret | None = None
    """`(kept)`: the secret that runs stays as it is."""


class ChapDeclaration(_Part):
    """CHAP credentials. Whoever names a user says where its secret is."""

    user: str = ""
    """The name that initiators prove to be."""
    secret_file: str | None = None
    """The file with its secret as the only line, closed to other users; relative to the document."""
    secret: Secret | None = None
    """`(kept)`: the secret that runs stays as it is. Empty: there is none, and nobody gets in."""
    mutual_user: str = ""
    """The name that the target proves to be."""
    mutual_secret_file: str | None = None
    """As `secret_file`."""
    mutual_secret: Secret | None = None
    """As `secret`."""
    others: Annotated[tuple[AccountDeclaration, ...], _List] = ()
    """Further users that initiators may prove to be."""


class DiscoveryDeclaration(_Part):
    """What discovery sessions have to prove."""

    enable: bool | None = None
    """Left out: they have to, if there is `chap`."""
    chap: ChapDeclaration | None = None


class AluaGroupDeclaration(_Part):
    """An ALUA target port group."""

    name: str
    id: int = Field(ge=0, le=MAX_TAG)
    parameters: Annotated[_Settings, _settings_schema(ALUA_GROUP_PARAMETERS)] = {}


class BackstoreDeclaration(_Part):
    """Storage, and the disk that it looks like."""

    kind: str = Field(default="", examples=["fileio", "block", "ramdisk"])
    """`fileio`, `block`, `ramdisk` or another; it may also stand before the name, as in `fileio/disk01`."""
    path: str = ""
    """The file or device."""
    size: Size | None = None
    """Bytes, or a text like 10G (powers of 1024). Left out: what is there."""
    write_back: bool | None = None
    """Acknowledge writes from the cache. Left out: a `fileio` does."""
    read_only: bool = False
    serial: str | None = Field(default=None, min_length=1)
    """The serial number (LIO's wwn). Left out: the one that the backstore has, or one made of its name and the host."""
    attributes: Annotated[_Settings, _settings_schema(BACKSTORE_ATTRIBUTES)] = {}
    alua_groups: Annotated[tuple[AluaGroupDeclaration, ...], _List] = ()
    options: dict[str, JsonValue] = {}
    """What only this kind has."""


class PortalDeclaration(_Part):
    """An address and port to listen on."""

    portal: str
    """`ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`; the port is 3260 if nothing is said."""
    iser: bool = False
    """Kept for LIO's sake."""
    offload: bool = False
    """Kept for LIO's sake."""

    @model_serializer(mode="wrap")
    def _shortest(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.iser or self.offload else self.portal


class LunDeclaration(_Part):
    """A backstore under a number."""

    backstore: str
    """Its name, with the kind before it (`fileio/disk01`) if two of that name are there."""
    lun: int | None = Field(default=None, ge=0, le=MAX_LUN)
    """Left out: its place in the list, from 0."""
    alias: str = ""
    alua_group: str = "default_tg_pt_gp"


class MappedLunDeclaration(_Part):
    """A LUN as one initiator sees it."""

    lun: int = Field(ge=0, le=MAX_LUN)
    """Its number for the initiator."""
    tpg_lun: int | None = Field(default=None, ge=0, le=MAX_LUN)
    """Its number in the portal group. Left out: the same."""
    read_only: bool | None = None
    """Left out: as the initiator's."""
    alias: str = ""

    @model_serializer(mode="wrap")
    def _shortest(self, handler: SerializerFunctionWrapHandler) -> Any:
        return self.lun if self == MappedLunDeclaration(lun=self.lun) else handler(self)


MappedLuns = Annotated[
    tuple[
        Annotated[
            MappedLunDeclaration,
            BeforeValidator(_short_form("lun", int), json_schema_input_type=int | MappedLunDeclaration),
        ],
        ...,
    ],
    _List,
]


class InitiatorDeclaration(_Part):
    """An initiator that may log in."""

    name: str
    tag: str = ""
    read_only: bool = False
    """It only reads, unless a LUN of its own says otherwise."""
    chap: ChapDeclaration | None = None
    luns: MappedLuns | None = None
    """What it sees. Left out: every LUN of the portal group, under the same number."""
    attributes: Annotated[_Settings, _settings_schema(ACL_ATTRIBUTES)] = {}


class InitiatorGroupDeclaration(_Part):
    """Initiators that may log in and see the same, named by patterns."""

    name: str
    initiators: Annotated[tuple[str, ...], _List] = ()
    """`*` stands for any characters, `?` for one; a leading `!` matches what the rest does not."""
    read_only: bool = False
    """They only read, unless a LUN says otherwise."""
    luns: MappedLuns | None = None
    """What they see. Left out: every LUN of the portal group, under the same number."""
    attributes: Annotated[_Settings, _settings_schema(INITIATOR_GROUP_ATTRIBUTES)] = {}


class GroupDeclaration(_Part):
    """What a portal group has, without its tag."""

    enable: bool = True
    attributes: Annotated[_Settings, _settings_schema(TPG_ATTRIBUTES)] = {}
    """`authentication`, if left out, is on where credentials are given to the group or one of its initiators."""
    parameters: Annotated[_Settings, _settings_schema(TPG_PARAMETERS)] = {}
    chap: ChapDeclaration | None = None
    """For initiators that have no credentials of their own."""
    portals: Annotated[
        tuple[
            Annotated[
                PortalDeclaration,
                BeforeValidator(_short_form("portal", str), json_schema_input_type=str | PortalDeclaration),
            ],
            ...,
        ],
        _List,
    ] = ()
    """Where it listens. None: where the daemon does by default."""
    luns: Annotated[
        tuple[
            Annotated[
                LunDeclaration,
                BeforeValidator(_short_form("backstore", str), json_schema_input_type=str | LunDeclaration),
            ],
            ...,
        ],
        _List,
    ] = ()
    initiators: Annotated[
        tuple[
            Annotated[
                InitiatorDeclaration,
                BeforeValidator(_short_form("name", str), json_schema_input_type=str | InitiatorDeclaration),
            ],
            ...,
        ],
        _List,
    ] = ()
    """Who may log in."""
    initiator_groups: Annotated[tuple[InitiatorGroupDeclaration, ...], _List] = ()
    """Who may, too: the first group that an initiator matches counts, if it does not stand under `initiators`."""


class PortalGroupDeclaration(GroupDeclaration):
    """One of several portal groups of a target."""

    tag: int = Field(ge=1, le=MAX_TAG)


class TargetDeclaration(GroupDeclaration):
    """A target. What it has is that of its portal group 1, unless `portal_groups` has them all."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"portal_groups": {"type": "null"}}},
                {"required": ["portal_groups"], "propertyNames": {"enum": ["portal_groups", "options"]}},
            ]
        }
    )
    portal_groups: Annotated[tuple[PortalGroupDeclaration, ...], _List] | None = None
    options: dict[str, int | str] = {}
    """What is kept for other targets' commands (tgtadm's number of the target, …)."""

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        others = self.model_fields_set - {"portal_groups", "options"}
        if self.portal_groups is not None and others:
            raise PydanticCustomError(
                "both_places", "{key} stands beside portal_groups: write it into one of them", {"key": min(others)}
            )
        return self


class Declaration(_Part):
    """All of the configuration. What a document does not name, there will not be."""

    schema_location: str | None = Field(default=None, alias="$schema")
    """For editors."""
    discovery: DiscoveryDeclaration | None = None
    backstores: dict[str, BackstoreDeclaration]
    """By name; `KIND/NAME` where two kinds have a backstore of the same name."""
    targets: dict[str, TargetDeclaration]
    """By iSCSI name."""
    accounts: Annotated[tuple[AccountDeclaration, ...], _List] = ()
    """Known by name, and of no effect until tgtadm binds them."""
    options: dict[str, int | str] = {}
    """What is kept for other targets' commands."""

    @classmethod
    def read(cls, values: object) -> Self:
        """The declaration in plain `values`; raises `DocumentError` with the path of the first thing that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first, *others = error.errors(include_url=False, include_input=False)
            more = f" (and {len(others)} more)" if others else ""
            raise DocumentError(_problem(first) + more, path=first["loc"]) from None

    def plain(self) -> dict[str, Any]:
        """The values that `read` makes this declaration of, without those that go without saying."""
        return self.model_dump(mode="json", exclude_defaults=True, by_alias=True)


_PROBLEMS: Final = {
    "missing": "this key is missing",
    "string_type": "a text is wanted here (numbers and dates that are meant as texts stand in quotes)",
    "int_type": "a whole number is wanted here",
    "bool_type": "true or false is wanted here",
    "dict_type": "an object with keys is wanted here",
}


def _problem(error: ErrorDetails) -> str:
    return _PROBLEMS.get(error["type"], error["msg"])


def schema() -> dict[str, Any]:
    """The JSON Schema of documents."""
    return {
        "$schema": _DIALECT,
        **Declaration.model_json_schema(by_alias=True),
        "title": "Isthmus declared configuration",
    }
