"""Every setting that an object of the configuration can have: one row each, by the names that LIO gave them.

A setting has a default, which need not be written down, and a range, out of which nothing gets in. Reading a saved
form, changing a value from the shell and printing help all go by these rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.config.access_lists import canonical_addresses, canonical_pattern
from isthmus.config.setting_kinds import (
    Ascii,
    Choice,
    Flag,
    Hexadecimal,
    Host,
    KeyList,
    Kind,
    ListOf,
    Number,
    OneOf,
    Text,
    Value,
)
from isthmus.errors import ConfigurationError

__all__ = [
    "ACL_ATTRIBUTES",
    "ALUA_GROUP_PARAMETERS",
    "BACKSTORE_ATTRIBUTES",
    "INITIATOR_GROUP_ATTRIBUTES",
    "TPG_ATTRIBUTES",
    "TPG_PARAMETERS",
    "Ascii",
    "Choice",
    "Flag",
    "Hexadecimal",
    "Host",
    "KeyList",
    "ListOf",
    "Number",
    "OneOf",
    "Setting",
    "SettingTable",
    "Text",
    "Value",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row: what a setting may be, and what it is if nobody says."""

    name: str
    kind: Kind
    default: Value
    about: str
    """One line of help."""
    fixed: bool = False
    """It can be read and saved, but means only its default here; another value is refused, not ignored."""
    extension: bool = False
    """LIO has no such setting: it is saved only where it is not at its default."""
    derived: bool = False
    """What it is if nobody sets it follows from other settings (`Backstore.default`)."""
    read_only: bool = False
    """What LIO says of its own device: kept as it was saved, shown, and not to be set."""


_REMEMBERED: Final = 1000
"""Values: so many different ones have hardly any two disks in common."""


class SettingTable:
    """The settings of one kind of object."""

    def __init__(self, owner: str, *settings: Setting) -> None:
        """`owner` is what errors call the object: `target portal group`, `node ACL`."""
        self.owner = owner
        self._settings = {setting.name: setting for setting in settings}
        self._known: dict[tuple[str, type, Value], Value] = {}
        """What some values were parsed to."""

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
        # The same few values come again for each of thousands of disks.
        seen = name, type(value), value
        try:
            known = self._known.get(seen)
        except TypeError:  # a list, which somebody has sent instead
            return self._parsed(name, value)
        if known is None:
            known = self._parsed(name, value)
            if len(self._known) < _REMEMBERED:
                self._known[seen] = known
        return known

    def _parsed(self, name: str, value: Value) -> Value:
        setting = self[name]
        try:
            parsed = setting.kind.parse(value)
        except ValueError as error:
            raise ConfigurationError(f"{name} of a {self.owner} cannot be {value!r}: {error}") from None
        if setting.fixed and parsed != setting.default:
            raise ConfigurationError(f"{name} of a {self.owner} can only be {setting.default!r} here", setting.about)
        return parsed

    def parse_change(self, name: str, value: Value) -> Value:
        """As `parse`, for a value that somebody sets: what can only be read is refused, too."""
        if self[name].read_only:
            raise ConfigurationError(f"{name} of a {self.owner} can only be read", self[name].about)
        return self.parse(name, value)

    def with_defaults(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Every setting: from `values`, or else its default."""
        return {setting.name: values.get(setting.name, setting.default) for setting in self}

    def saved(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """What LIO's saved form holds of `values`: every setting that LIO knows, and of the others what is set."""
        return {
            setting.name: values.get(setting.name, setting.default)
            for setting in self
            if not setting.extension or setting.name in values
        }


_ANY: Final = 0xFFFF_FFFF
_BYTES: Final = 1 << 48
_LARGEST: Final = 0xFFFF_FFFF_FFFF_FFFF
_BEYOND_ADDRESSES: Final = 0x7FFF_FFFF
"""UNMAP GRANULARITY ALIGNMENT has 31 bits (SBC-4 §6.6.4)."""
_MOST_PORTS: Final = 0xFFFF
_DIGESTS: Final = KeyList(("CRC32C", "None"))
_YES_NO: Final = Choice(("Yes", "No"))


def _port_identifier(text: str) -> str:
    """A RELATIVE TARGET PORT IDENTIFIER (SPC-5 §6.36); raises `ValueError`."""
    return str(Number(1, _MOST_PORTS).parse(text))


def _flag(
    name: str, default: int, about: str, *, fixed: bool = False, extension: bool = False, derived: bool = False
) -> Setting:
    return Setting(
        name=name, kind=Flag(), default=default, about=about, fixed=fixed, extension=extension, derived=derived
    )


def _number(
    name: str, default: int, low: int, high: int, about: str, *, fixed: bool = False, extension: bool = False
) -> Setting:
    return Setting(name=name, kind=Number(low, high), default=default, about=about, fixed=fixed, extension=extension)


def _name(name: str, kind: Ascii | Hexadecimal, about: str) -> Setting:
    return Setting(name=name, kind=kind, default="", about=about, extension=True)


def _max_sessions(of_whom: str) -> Setting:
    return _number("max_sessions", 0, 0, 0xFFFF, f"Sessions {of_whom} at once; 0: no limit.", extension=True)


def _one_of(name: str, default: int, numbers: tuple[int, ...], about: str) -> Setting:
    return Setting(name=name, kind=OneOf(numbers), default=default, about=about)


def _read_only(name: str, default: int, about: str) -> Setting:
    return Setting(name=name, kind=Number(0, _LARGEST), default=default, about=about, read_only=True)


TPG_ATTRIBUTES: Final = SettingTable(
    "target portal group",
    _flag("authentication", 0, "Require CHAP."),
    _flag("cache_dynamic_acls", 0, "Who has logged in by generate_node_acls may come back when that is off."),
    _number("default_cmdsn_depth", 64, 1, 512, "Commands in progress for each new session without a depth of its own."),
    _number("default_erl", 0, 0, 2, "Only ErrorRecoveryLevel 0 is implemented.", fixed=True),
    _flag("demo_mode_discovery", 1, "Tell initiators without a node ACL of this target in discovery."),
    # LIO's default is 1, and every file of rtslib names it. With that, a target made with generate_node_acls=1 and
    # nothing more would be a disk that nobody can write.
    _flag("demo_mode_write_protect", 0, "Initiators without a node ACL only read."),
    _flag("prod_mode_write_protect", 0, "Initiators with a node ACL and generate_node_acls only read."),
    _number("fabric_prot_type", 0, 0, 3, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("generate_node_acls", 0, "Let in initiators that have no node ACL (demo mode)."),
    _number("login_timeout", 15, 5, 30, "Seconds that a login may take."),
    _number("netif_timeout", 2, 2, 15, "Seconds between two tries to listen where the address is not up yet."),
    _flag("t10_pi", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("tpg_enabled_sendtargets", 1, "SendTargets tells of this group only while it is enabled."),
    _flag("login_keys_workaround", 1, "Do without the answers that boot firmware does not give (FirstBurstLength, …)."),
    Setting(
        name="allowed_addresses",
        kind=ListOf(canonical_addresses, "an address"),
        default="",
        about="Addresses and networks that initiators may come from, joined by commas; ALL is every one.",
        extension=True,
    ),
    Setting(
        name="allowed_initiators",
        kind=ListOf(canonical_pattern, "a pattern"),
        default="",
        about="Names of initiators that may log in, joined by commas; * and ? stand for others, a leading ! excludes.",
        extension=True,
    ),
    Setting(
        name="allowed_match",
        kind=Choice(("all", "any")),
        default="all",
        about="all: an initiator must be in each of the two lists that is not empty; any: in one of them (tgt).",
        extension=True,
    ),
    _flag(
        "per_portal_acl",
        0,
        "Patterns of initiator groups are compared with NAME#ADDRESS of the portal (SCST).",
        extension=True,
    ),
    _max_sessions("of the portal group"),
    _flag(
        "login_needs_luns",
        0,
        "Whoever would see no LUN may not log in, nor hears of the target (SCST).",
        extension=True,
    ),
    _number(
        "nop_interval",
        0,
        -1,
        3600,
        "Seconds of silence after which a NOP-In asks; 0: the node ACL's, -1: none asks.",
        extension=True,
    ),
    _number("nop_count", 0, 0, 1000, "NOP-Ins without an answer until a connection is lost.", extension=True),
    _number(
        "nop_timeout",
        0,
        0,
        3600,
        "Seconds to wait for the answer, whatever nop_count is; 0: as nop_count or the node ACL says.",
        extension=True,
    ),
    _number(
        "data_timeout",
        0,
        0,
        3600,
        "Seconds that a command waits for its data until the connection is given up; 0: the node ACL's.",
        extension=True,
    ),
    _number(
        "relative_target_port_id",
        0,
        0,
        _MOST_PORTS,
        "The target port's number, which no other portal group has; 0: ours. A change ends sessions.",
        extension=True,
    ),
    Setting(
        name="redirect_address",
        kind=Host(),
        default="",
        about="Send logins to this address or host name; empty: serve them here.",
        extension=True,
    ),
    _number("redirect_port", 3260, 1, 0xFFFF, "The port to send them to.", extension=True),
    _flag("redirect_permanent", 0, "Tell them that the target has moved for good.", extension=True),
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
    Setting(
        name="authentication",
        kind=OneOf((-1, 0, 1)),
        default=-1,
        about="Require CHAP of this initiator: 1 yes, 0 no, -1 as the portal group says.",
        extension=True,
    ),
    Setting(
        name="cmdsn_depth",
        kind=Number(1, 512, or_zero=True),
        default=0,
        about="Commands in progress for each new session; 0: default_cmdsn_depth of the portal group.",
        extension=True,
    ),
    _number("dataout_timeout", 3, 2, 60, "Seconds to wait for data that was asked for."),
    _number("dataout_timeout_retries", 5, 1, 15, "How often it is waited for before the connection is given up."),
    _number("default_erl", 0, 0, 2, "Only ErrorRecoveryLevel 0 is implemented.", fixed=True),
    Setting(
        name="nopin_timeout",
        kind=Number(3, 60, or_zero=True),
        default=15,
        about="Seconds of silence after which a NOP-In asks; 0: none does.",
    ),
    _number("nopin_response_timeout", 30, 3, 60, "Seconds to wait for its answer."),
    _number("random_datain_pdu_offsets", 0, 0, 1, "Data goes out in order.", fixed=True),
    _number("random_datain_seq_offsets", 0, 0, 1, "Data goes out in order.", fixed=True),
    _number("random_r2t_offsets", 0, 0, 1, "R2Ts go out in order.", fixed=True),
    _max_sessions("of the initiator in the portal group"),
)
"""`set attribute` of a node ACL."""

INITIATOR_GROUP_ATTRIBUTES: Final = SettingTable("initiator group", _max_sessions("of all its initiators together"))
"""`set attribute` of an initiator group."""

BACKSTORE_ATTRIBUTES: Final = SettingTable(
    "backstore",
    Setting(
        name="block_size",
        kind=OneOf((512, 2048, 4096)),
        default=512,
        about="Bytes in a logical block: 512 or 4096, and 2048 for a drive.",
        derived=True,
    ),
    Setting(
        name="device_type",
        kind=Choice(("disk", "cd")),
        default="disk",
        about="A disk, or a drive in which the file is a CD or DVD that is only read.",
        extension=True,
    ),
    _flag("emulate_3pc", 1, "Third-party copy: EXTENDED COPY and token copies."),
    _number("atomic_alignment", 0, 0, 256, "Blocks: an atomic write starts at a multiple of these; 0 allows any."),
    _number("atomic_granularity", 0, 0, 256, "Blocks: an atomic write has a multiple of these; 0 allows any."),
    _number("atomic_max_len", 0, 0, _ANY, "Blocks in one atomic write; 0 takes what we can."),
    _flag("emulate_caw", 1, "COMPARE AND WRITE."),
    _flag(
        "encrypt",
        0,
        "Encrypt all that is written, with a key in the state directory: a new disk, and for good.",
        extension=True,
    ),
    _flag(
        "emulate_cdb32",
        1,
        "Commands of 32 bytes, which some initiators cannot decode in the list of commands.",
        extension=True,
    ),
    _flag("emulate_dpo", 1, "Accept DPO; off, a unit has neither DPO nor FUA, as one bit tells of both (DPOFUA)."),
    _flag("emulate_fua_read", 1, "Accept FUA in commands that read; off, as emulate_dpo."),
    _flag("emulate_fua_write", 1, "Accept FUA in commands that write; off, as emulate_dpo."),
    _flag("emulate_model_alias", 1, "Report the backstore's name as product identification."),
    _number("emulate_rest_reord", 0, 0, 1, "QUEUE ALGORITHM MODIFIER: 0 allows any order of SIMPLE tasks."),
    _flag("emulate_tas", 1, "Answer tasks that another nexus aborted with TASK ABORTED."),
    _flag("emulate_tpu", 0, "UNMAP gives room back."),
    _flag("emulate_tpws", 0, "WRITE SAME with UNMAP gives room back."),
    _number("emulate_ua_intlck_ctrl", 0, 0, 2, "UA_INTLCK_CTRL of the Control mode page."),
    _flag(
        "emulate_write_cache",
        0,
        "WCE at power on; off, each write is durable first. Unset, as write_back.",
        derived=True,
    ),
    _flag("emulate_pr", 1, "Reservations, persistent and SPC-2."),
    _flag("emulate_rsoc", 1, "REPORT SUPPORTED OPERATION CODES."),
    _flag("enforce_pr_isids", 1, "A registration is of one initiator port; off, of the initiator, whatever its ISID."),
    _flag("force_pr_aptpl", 0, "The next registration, and each after it, outlives a restart, asked to or not."),
    _flag("is_nonrot", 1, "Report a medium that does not rotate."),
    _number("max_unmap_lba_count", 0, 0, _ANY, "Blocks in one UNMAP; 0 takes what the backstore can."),
    _number("max_unmap_block_desc_count", 0, 0, _ANY, "Descriptors in one UNMAP; 0 takes what the backstore can."),
    _number("max_write_same_len", 0, 0, _ANY, "Blocks in one WRITE SAME; 0 takes what the backstore can."),
    _flag(
        "write_same_to_end",
        0,
        "A WRITE SAME of 0 blocks means all up to the last (WSNZ 0); else it is refused.",
        extension=True,
    ),
    _number("optimal_sectors", 0, 0, _ANY, "Blocks in a transfer of the best length; 0 leaves it to us."),
    _number(
        "queue_depth",
        0,
        0,
        4096,
        "Tasks in the unit at once, then TASK SET FULL (from 128 on, plain writes not counted); 0: ours.",
    ),
    _number("unmap_granularity", 0, 0, _ANY, "Blocks that are unmapped at once; 0 takes the backstore's."),
    _number("unmap_granularity_alignment", 0, 0, _BEYOND_ADDRESSES, "The first block of such a group."),
    _flag(
        "unmap_zeroes_data", 0, "Report that unmapped blocks read as zeros (LBPRZ). Unset, on if thin.", derived=True
    ),
    _number("pi_prot_type", 0, 0, 3, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("pi_prot_format", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
    _flag("pi_prot_verify", 0, "T10 protection information needs a fabric that carries it.", fixed=True),
    _number("limit_iops", 0, 0, _ANY, "Commands a second that move data; 0: no limit.", extension=True),
    _number(
        "limit_iops_burst", 0, 0, _ANY, "Such commands at once after a pause; 0: a tenth of limit_iops.", extension=True
    ),
    _number("limit_bytes_per_second", 0, 0, _BYTES, "Bytes a second read and written; 0: no limit.", extension=True),
    _number(
        "limit_bytes_burst",
        0,
        0,
        _BYTES,
        "Bytes at once after a pause; 0: a tenth of limit_bytes_per_second.",
        extension=True,
    ),
    _name("vendor_id", Ascii(8), "T10 VENDOR IDENTIFICATION; empty: ours."),
    _name("product_id", Ascii(16), "PRODUCT IDENTIFICATION; empty: see emulate_model_alias."),
    _name("revision", Ascii(4), "PRODUCT REVISION LEVEL; empty: ours."),
    _name("product_serial", Ascii(252), "PRODUCT SERIAL NUMBER, where it is not the unit serial number."),
    _name("t10_id", Ascii(252), "The T10 vendor ID designator, vendor and all; empty: made of the names."),
    _name("naa_id", Hexadecimal((16, 32)), "The NAA designator; empty: made of the unit serial number."),
    _flag("report_naa_id", 1, "Page 83h has the NAA designator; off, other names count (SCST).", extension=True),
    _name("eui64_id", Hexadecimal((16,)), "The EUI-64 designator; empty: none."),
    _name("scsi_device_name", Ascii(251), "The name of the target device in page 83h; empty: the target's."),
    _name("inquiry_text", Ascii(160), "Vendor-specific INQUIRY data: at byte 36, or at byte 96 beyond 20 characters."),
    _flag("removable", 0, "The medium can be ejected and loaded (RMB); that of a drive always.", extension=True),
    _flag("medium_present", 1, "There is a medium; else no command gets at it (MEDIUM NOT PRESENT).", extension=True),
    _flag("write_protect", 0, "Nobody writes.", extension=True),
    _flag("descriptor_sense", 0, "D_SENSE at power on: sense goes out in descriptor format.", extension=True),
    _flag("task_set_per_nexus", 0, "TST at power on: each initiator has a task set of its own (SCST).", extension=True),
    _number(
        "physical_block_exponent", 0, 0, 8, "A physical block has 2^N logical ones; 0: the storage's.", extension=True
    ),
    _number("lowest_aligned_lba", 0, 0, 0x3FFF, "The first block at the start of a physical one.", extension=True),
    _number("optimal_granularity", 0, 0, 0xFFFF, "Blocks: transfers are best a multiple of it.", extension=True),
    _number("rotation_rate", 0, 0, 0xFFFE, "Rotations a minute of the medium; 0: see is_nonrot.", extension=True),
    _read_only("alua_support", 1, "LIO: whether the device leaves ALUA to it."),
    _read_only("pgr_support", 1, "LIO: whether the device leaves reservations to it."),
    _read_only("submit_type", 0, "LIO: on which thread it submits."),
    _read_only("complete_type", 0, "LIO: on which processor it completes."),
    _read_only("hw_block_size", 512, "LIO: bytes in a block of the device."),
    _read_only("hw_max_sectors", 32768, "LIO: blocks in one access of the device."),
    _read_only("hw_queue_depth", 4096, "LIO: accesses of the device at once."),
    _read_only("hw_pi_prot_type", 0, "LIO: the device's protection information."),
    _read_only("atomic_max_with_boundary", 0, "LIO: blocks that it has with boundaries."),
    _read_only("atomic_max_boundary", 0, "LIO: blocks between such boundaries."),
)
"""`set attribute` of a backstore."""

ALUA_GROUP_PARAMETERS: Final = SettingTable(
    "ALUA target port group",
    _one_of(
        "alua_access_state", 0, (0, 1, 2, 3, 14), "0 optimized, 1 non-optimized, 2 standby, 3 unavailable, 14 offline."
    ),
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
    Setting(
        name="other_ports",
        kind=ListOf(_port_identifier, "a port"),
        default="",
        about="Relative identifiers of another server's ports in the group, joined by commas, for initiators to know.",
        extension=True,
    ),
)
"""`set alua` of a target port group."""
