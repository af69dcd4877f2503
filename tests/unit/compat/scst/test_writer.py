import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.compat.scst.writer import spelled_out, write
from isthmus.config.diff import diff
from isthmus.config.model import KEPT, Chap, Configuration
from tests.support.configurations import configurations
from tests.support.scst import imported

SLOW = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SAMPLE = """setup_id 0x1234
HANDLER vdisk_fileio {
	DEVICE lun03 {
		filename "/srv/a \\#1.img"
		nv_cache 1
	}
	DEVICE lun04 {
		filename /srv/b.img
		thin_provisioned 1
	}
}
TARGET_DRIVER iscsi {
	enabled 1
	IncomingUser "joe 12charsecret"
	TARGET iqn.2026-05.com.example:storage03 {
		IncomingUser "db_server \\"{\\\\\\# secret }"
		allowed_portal 192.0.2.1
		enabled 1
		LUN 0 lun03
		GROUP db {
			LUN 0 lun04 {
				read_only 1
			}
			INITIATOR iqn.2026-05.com.example:db-*
		}
	}
}
DEVICE_GROUP dg {
	DEVICE lun03
	DEVICE lun04
	TARGET_GROUP here {
		group_id 5
		TARGET iqn.2026-05.com.example:storage03
	}
}
"""


def test_what_comes_from_scst_goes_back_whole() -> None:
    """Down to the secret with quotes, braces and backslashes."""
    configuration = imported(SAMPLE).configuration
    (target,) = configuration.targets.values()
    assert target.portal_groups[0].chap.password == '"{\\# secret }'
    exported = write(configuration)
    assert exported.remarks == ()
    assert imported(exported.text).configuration == configuration


def test_what_cannot_be_said_is_told() -> None:
    """As the change that it would be to read the text back."""
    configuration = imported("[Target iqn.2026-05.com.example:t]\nMaxConnections 4").configuration
    (remark,) = write(configuration).remarks
    assert remark == (
        "scst.conf cannot say all of it; read back: "
        "~ /iscsi/iqn.2026-05.com.example:t/tpg1 parameter MaxConnections: 4 -> 1"
    )


def test_secrets_are_not_in_it() -> None:
    """What stands for them comes from the daemon, and goes back there as what it stands for."""
    configuration = imported(SAMPLE.replace("\\\\\\# secret }", "")).configuration
    (target,) = configuration.targets.values()
    group = dataclasses.replace(target.portal_groups[0], chap=Chap(userid="joe", password=KEPT))
    hidden = dataclasses.replace(
        configuration, targets={target.name: dataclasses.replace(target, portal_groups=(group,))}
    )
    text = write(hidden).text
    assert f'IncomingUser "joe {KEPT}"' in text
    assert imported(text).configuration == hidden


_FLAGS = st.sampled_from(["0", "1"])
_SECRETS = st.text(st.characters(codec=None, exclude_characters="\n"), min_size=1, max_size=12).filter(
    lambda text: text[0] not in " \t" and text.isprintable()
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files of scst.conf with all kinds of sections, of which everything can be honoured."""
    from isthmus.compat.scst.layout import Block, layout  # noqa: PLC0415

    handler, driver = Block(("HANDLER", "vdisk_fileio")), Block(("TARGET_DRIVER", "iscsi"))
    devices = [f"d{number}" for number in range(draw(st.integers(1, 3)))]
    for name in devices:
        device = handler.add("DEVICE", name)
        device.add("filename", "/" + draw(_SECRETS))
        for attribute in draw(
            st.sets(st.sampled_from(["read_only", "write_through", "rotational", "thin_provisioned"]))
        ):
            device.add(attribute, draw(_FLAGS))
    driver.add("enabled", draw(_FLAGS))
    for number in range(draw(st.integers(0, 2))):
        target = driver.add("TARGET", f"iqn.2026-01.org.example:t{number}")
        target.add("enabled", draw(_FLAGS))
        if draw(st.booleans()):
            target.add("IncomingUser", f"joe {draw(_SECRETS)}")
        for attribute in draw(st.sets(st.sampled_from(["QueuedCommands", "MaxSessions", "MaxOutstandingR2T"]))):
            target.add(attribute, draw(st.integers(1, 512)))
        _add_luns(draw, target, devices)
        for index in range(draw(st.integers(0, 2))):
            group = target.add("GROUP", f"g{index}")
            _add_luns(draw, group, devices)
            group.add("INITIATOR", draw(st.sampled_from(["*", "!iqn.x?", "iqn.2026-01.org.example:*"])))
    return layout([handler, driver])


def _add_luns(draw: st.DrawFn, section: "object", devices: list[str]) -> None:
    for number in sorted(draw(st.sets(st.integers(0, 300), max_size=3))):
        lun = section.add("LUN", number, draw(st.sampled_from(devices)))  # type: ignore[attr-defined]
        if draw(st.booleans()):
            lun.add("read_only", draw(_FLAGS))


@SLOW
@given(files())
def test_every_file_of_scst_survives_an_export(text: str) -> None:
    """Read, written and read again, it is the same configuration."""
    first = imported(text)
    assert first.findings == ()
    exported = write(first.configuration)
    assert imported(exported.text).configuration == first.configuration
    assert exported.remarks == ()


@SLOW
@given(configurations())
def test_every_configuration_can_be_exported(configuration: Configuration) -> None:
    """The text can be read, and the remarks are all that it lacks: without one, nothing."""
    exported = write(configuration)
    again = imported(exported.text).configuration
    assert bool(exported.remarks) == bool(diff(spelled_out(configuration), spelled_out(again)))
