"""Every setting that an object of the configuration can have: one row each, by the names that LIO gave them.

A setting has a default, which need not be written down, and a range, out of which nothing gets in. Reading a saved
form, changing a value from the shell and printing help all go by these rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.errors import ConfigurationError

__all__ = [
    "ACL_ATTRIBUTES",
    "ALUA_GROUP_PARAMETERS",
    "BACKSTORE_ATTRIBUTES",
    "TPG_ATTRIBUTES",
    "TPG_PARAMETERS",
    "Choice",
    "Flag",
    "KeyList",
    "Number",
    "Setting",
    "SettingTable",
    "Text",
    "Value",
]

Value = int | str


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def parse(self, value: Value) -> int:
        """The number; raises `ValueError` with what it may be."""
        try:
            number = int(str(value), 0)
        except ValueError:
            raise ValueError(f"{value!r} is not a whole number") from None
        if not self.low <= number <= self.high:
            raise ValueError(f"{number} is not from {self.low} to {self.high}")
        return number


@dataclass(frozen=True, slots=True)
class Flag:
    """On or off, kept as 1 or 0."""

    def parse(self, value: Value) -> int:
        """1 or 0; raises `ValueError` for what is neither."""
        number = {"1": 1, "yes": 1, "true": 1, "on": 1, "0": 0, "no": 0, "false": 0, "off": 0}.get(str(value).lower())
        if number is None:
            raise ValueError(f"{value!r} is neither 1 nor 0")
        return number


@dataclass(frozen=True, slots=True)
class Text:
    """Any text up to `longest` bytes of UTF-8."""

    longest: int

    def parse(self, value: Value) -> str:
        """The text; raises `ValueError` if it is too long."""
        text = str(value)
        if len(text.encode()) > self.longest:
            raise ValueError(f"it is longer than {self.longest} bytes")
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; their case does not matter."""

    words: tuple[str, ...]

    def parse(self, value: Value) -> str:
        """The word as it is spelled here; raises `ValueError` with the words."""
        for word in self.words:
            if word.lower() == str(value).lower():
                return word
        raise ValueError(f"{value!r} is not one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class KeyList:
    """A list of values for a text key, the best first, joined by commas (RFC 7143 §6.2.1)."""

    words: tuple[str, ...]

    def parse(self, value: Value) -> str:
        """The list in the spelling of the RFC; raises `ValueError` for an empty one or an unknown word."""
        chosen = [Choice(self.words).parse(word.strip()) for word in str(value).split(",")]
        if len(set(chosen)) != len(chosen):
            raise ValueError(f"{value!r} names a value twice")
        return ",".join(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row: what a setting may be, and what it is if nobody says."""

    name: str
    kind: Number | Flag | Text | Choice | KeyList
    default: Value
    about: str
    """One line of help."""
    fixed: bool = False
    """It can be read and saved, but means only its default here; another value is refused, not ignored."""


class SettingTable:
    """The settings of one kind of object."""

    def __init__(self, owner: str, *settings: Setting) -> None:
        """`owner` is what errors call the object: `target portal group`, `node ACL`."""
        self.owner = owner
        self._settings = {setting.name: setting for setting in settings}

    def __iter__(self) -> Iterator[Setting]:
        return iter(self._settings.values())

    def __contains__(self, name: str) -> bool:
        return name in self._settings

    def __getitem__(self, name: str) -> Setting:
        """The row of `name`; raises `ConfigurationError` with what there is."""
        try:
            return self._settings[name]
        except KeyError:
            raise ConfigurationError(
                f"a {self.owner} has no setting {name!r}", f"it has {', '.join(sorted(self._settings))}"
            ) from None

    def parse(self, name: str, value: Value) -> Value:
        """`value` as the setting keeps it; raises `ConfigurationError` for one that it cannot have."""
        setting = self[name]
        try:
            parsed = setting.kind.parse(value)
        except ValueError as error:
            raise ConfigurationError(f"{name} of a {self.owner} cannot be {value!r}: {error}") from None
        if setting.fixed and parsed != setting.default:
            raise ConfigurationError(f"{name} of a {self.owner} can only be {setting.default!r} here", setting.about)
        return parsed

    def with_defaults(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Every setting: from `values`, or else its default."""
        return {setting.name: values.get(setting.name, setting.default) for setting in self}


_ANY: Final = 0xFFFF_FFFF
_DIGESTS: Final = KeyList(("CRC32C", "None"))
_YES_NO: Final = Choice(("Yes", "No"))


def _flag(name: str, default: int, about: str, *, fixed: bool = False) -> Setting:
    return Setting(name=name, kind=Flag(), default=default, about=about, fixed=fixed)


def _number(name: str, default: int, low: int, high: int, about: str, *, fixed: bool = False) -> Setting:
    return Setting(name=name, kind=Number(low, high), default=default, about=about, fixed=fixed)


TPG_ATTRIBUTES: Final = SettingTable(
    "target portal group",
    _flag("authentication", 0, "Require CHAP."),
    _flag("cache_dynamic_acls", 0, "Keep what was learned of an initiator without a node ACL after its logout."),
    _number("default_cmdsn_depth", 64, 1, 512, "Commands in progress for each session without a depth of its own."),
    _number("default_erl", 0, 0, 2, "Only ErrorRecoveryLevel 0 is implemented.", fixed=True),
    _flag("demo_mode_discovery", 1, "Tell initiators without a node ACL of this target in discovery."),
    _flag("demo_mode_write_protect", 1, "Initiators without a node ACL only read."),
    _flag("prod_mode_write_protect", 0, "Initiators with a node ACL and generate_node_acls only read."),
    _number("fabric_prot_type", 0, 0, 3, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("generate_node_acls", 0, "Let in initiators that have no node ACL (demo mode)."),
    _number("login_timeout", 15, 5, 30, "Seconds that a login may take."),
    _number("netif_timeout", 2, 2, 15, "Seconds that a portal waits for its address to come up."),
    _flag("t10_pi", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("tpg_enabled_sendtargets", 1, "SendTargets tells of this group only while it is enabled."),
    _flag("login_keys_workaround", 1, "Answer keys that some boot firmware sends out of place."),
)
"""`set attribute` of a target portal group."""

TPG_PARAMETERS: Final = SettingTable(
    "target portal group",
    Setting(
        name="AuthMethod",
        kind=KeyList(("CHAP", "None")),
        default="CHAP,None",
        about="The authentication methods offered (RFC 7143 §12.1).",
    ),
    Setting(name="HeaderDigest", kind=_DIGESTS, default="CRC32C,None", about="Accepted (RFC 7143 §13.1)."),
    Setting(name="DataDigest", kind=_DIGESTS, default="CRC32C,None", about="Accepted (RFC 7143 §13.1)."),
    _number("MaxConnections", 1, 1, 8, "Connections in a session (RFC 7143 §13.2)."),
    Setting(name="TargetAlias", kind=Text(255), default="LIO Target", about="For people (RFC 7143 §13.6)."),
    Setting(name="InitialR2T", kind=_YES_NO, default="Yes", about="Ask for all data but immediate (§13.10)."),
    Setting(name="ImmediateData", kind=_YES_NO, default="Yes", about="Take data in the command (§13.11)."),
    _number("MaxRecvDataSegmentLength", 8192, 512, 0xFF_FFFF, "Bytes that one PDU may bring (§13.12)."),
    _number("MaxXmitDataSegmentLength", 262144, 512, 0xFF_FFFF, "Bytes that one PDU of ours may bring."),
    _number("MaxBurstLength", 262144, 512, 0xFF_FFFF, "Bytes in a sequence of data PDUs (§13.13)."),
    _number("FirstBurstLength", 65536, 512, 0xFF_FFFF, "Bytes that may come unasked (§13.14)."),
    _number("DefaultTime2Wait", 2, 0, 3600, "Seconds before coming back after a loss (§13.15)."),
    _number("DefaultTime2Retain", 20, 0, 3600, "Seconds for coming back after a loss (§13.16)."),
    _number("MaxOutstandingR2T", 1, 1, 65535, "R2Ts out at once for a command (§13.17)."),
    Setting(name="DataPDUInOrder", kind=_YES_NO, default="Yes", about="Data comes in order here (§13.18).", fixed=True),
    Setting(
        name="DataSequenceInOrder", kind=_YES_NO, default="Yes", about="Data comes in order here (§13.19).", fixed=True
    ),
    _number("ErrorRecoveryLevel", 0, 0, 2, "Only level 0 is implemented (§13.20).", fixed=True),
    Setting(name="IFMarker", kind=_YES_NO, default="No", about="Markers are obsolete (§13.25).", fixed=True),
    Setting(name="OFMarker", kind=_YES_NO, default="No", about="Markers are obsolete (§13.25).", fixed=True),
    Setting(name="IFMarkInt", kind=Text(64), default="Reject", about="Markers are obsolete (§13.25).", fixed=True),
    Setting(name="OFMarkInt", kind=Text(64), default="Reject", about="Markers are obsolete (§13.25).", fixed=True),
)
"""`set parameter` of a target portal group: what it wants of a negotiation."""

ACL_ATTRIBUTES: Final = SettingTable(
    "node ACL",
    _number("dataout_timeout", 3, 2, 60, "Seconds to wait for data that was asked for."),
    _number("dataout_timeout_retries", 5, 1, 15, "How often it is waited for before the connection is given up."),
    _number("default_erl", 0, 0, 2, "Only ErrorRecoveryLevel 0 is implemented.", fixed=True),
    _number("nopin_timeout", 15, 3, 60, "Seconds of silence after which a NOP-In asks."),
    _number("nopin_response_timeout", 30, 3, 60, "Seconds to wait for its answer."),
    _number("random_datain_pdu_offsets", 0, 0, 1, "Data goes out in order.", fixed=True),
    _number("random_datain_seq_offsets", 0, 0, 1, "Data goes out in order.", fixed=True),
    _number("random_r2t_offsets", 0, 0, 1, "R2Ts go out in order.", fixed=True),
)
"""`set attribute` of a node ACL."""

BACKSTORE_ATTRIBUTES: Final = SettingTable(
    "backstore",
    _number("block_size", 512, 512, 4096, "Bytes in a logical block: 512 or 4096."),
    _flag("emulate_3pc", 1, "Third-party copy: EXTENDED COPY and token copies."),
    _flag("emulate_caw", 1, "COMPARE AND WRITE."),
    _flag("emulate_dpo", 1, "Accept the DPO bit."),
    _flag("emulate_fua_read", 1, "Accept FUA in reads."),
    _flag("emulate_fua_write", 1, "Accept FUA in writes."),
    _flag("emulate_model_alias", 1, "Report the backstore's name as product identification."),
    _number("emulate_rest_reord", 0, 0, 1, "QUEUE ALGORITHM MODIFIER: 0 allows any order of SIMPLE tasks."),
    _flag("emulate_tas", 1, "Answer tasks that another nexus aborted with TASK ABORTED."),
    _flag("emulate_tpu", 0, "UNMAP gives room back."),
    _flag("emulate_tpws", 0, "WRITE SAME with UNMAP gives room back."),
    _number("emulate_ua_intlck_ctrl", 0, 0, 2, "UA_INTLCK_CTRL of the Control mode page."),
    _flag("emulate_write_cache", 0, "Report a volatile write cache (WCE)."),
    _flag("emulate_pr", 1, "Reservations, persistent and SPC-2."),
    _flag("emulate_rsoc", 1, "REPORT SUPPORTED OPERATION CODES."),
    _flag("enforce_pr_isids", 1, "A registration is of one initiator port, not of the initiator."),
    _flag("force_pr_aptpl", 0, "Registrations outlive a restart, whether asked to or not."),
    _flag("is_nonrot", 1, "Report a medium that does not rotate."),
    _number("max_unmap_lba_count", 0, 0, _ANY, "Blocks in one UNMAP; 0 takes what the backstore can."),
    _number("max_unmap_block_desc_count", 0, 0, _ANY, "Descriptors in one UNMAP; 0 takes what the backstore can."),
    _number("max_write_same_len", 0, 0, _ANY, "Blocks in one WRITE SAME; 0 takes what the backstore can."),
    _number("optimal_sectors", 0, 0, _ANY, "Blocks in a transfer of the best length; 0 leaves it to us."),
    _number("queue_depth", 0, 0, 4096, "Tasks in the unit at once; 0 leaves it to us."),
    _number("unmap_granularity", 0, 0, _ANY, "Blocks that are unmapped at once; 0 takes the backstore's."),
    _number("unmap_granularity_alignment", 0, 0, _ANY, "The first block of such a group."),
    _flag("unmap_zeroes_data", 0, "Report that unmapped blocks read as zeros (LBPRZ)."),
    _number("pi_prot_type", 0, 0, 3, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("pi_prot_format", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("pi_prot_verify", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
)
"""`set attribute` of a backstore."""

ALUA_GROUP_PARAMETERS: Final = SettingTable(
    "ALUA target port group",
    _number("alua_access_state", 0, 0, 15, "0 optimized, 1 non-optimized, 2 standby, 3 unavailable, 14 offline."),
    _number("alua_access_status", 0, 0, 2, "What changed the state last."),
    _number("alua_access_type", 3, 0, 3, "1 implicit, 2 explicit, 3 both."),
    _flag("alua_write_metadata", 0, "Keep the state over a restart."),
    _flag("preferred", 0, "Initiators should use this group."),
    _number("nonop_delay_msecs", 100, 0, 10000, "Milliseconds that a command waits when not optimized."),
    _number("trans_delay_msecs", 0, 0, 30000, "Milliseconds that a transition takes."),
    _number("implicit_trans_secs", 0, 0, 255, "Seconds that initiators should wait for a transition."),
    *(
        _flag(f"alua_support_{state}", 1, "REPORT TARGET PORT GROUPS tells of this state.")
        for state in ("active_optimized", "active_nonoptimized", "standby", "unavailable", "offline", "transitioning")
    ),
    _flag("alua_support_lba_dependent", 0, "No state depends on the LBA here.", fixed=True),
)
"""`set alua` of a target port group."""
