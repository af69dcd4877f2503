import pytest

from bench import management_latency
from bench.management_latency import Figure, table, thousand
from isthmus.initiator.benchmark import Measurement


def measured(iops: float, p99: float) -> Measurement:
    """One second's."""
    return Measurement(
        operations=round(iops),
        bytes_moved=0,
        seconds=1.0,
        latency_mean=0.0,
        latency_p50=0.0001,
        latency_p99=p99,
        latency_max=0.01,
    )


def test_a_table_has_medians() -> None:
    """A row for each case, with what was done meanwhile in all of its rounds."""
    figures = [Figure("in quiet", 1, measured(100 * number, number / 1000), {"polls": 2}) for number in (1, 2, 9)]
    figures.append(Figure("this daemon managed", 1, measured(50, 0.005), {"applied": 1}))
    assert table(figures)[2:] == [
        "| in quiet | 1 | 200 | 100 | 2000 | 10.0 | 6, 0, 0 |",
        "| this daemon managed | 1 | 50 | 100 | 5000 | 10.0 | 0, 0, 1 |",
    ]


def test_many_targets_are_valid() -> None:
    """Four disks each."""
    configuration = thousand(3)
    configuration.check()
    assert (len(configuration.targets), len(configuration.backstores)) == (3, 12)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that it measures, for a moment, on a few targets."""
    arguments = ["--seconds", "0.5", "--rounds", "1", "--targets", "3", "--outstanding", "1"]
    assert management_latency.main(arguments) == 0
    out = capsys.readouterr().out
    assert "3 targets of 4 LUNs: applied in " in out
    assert [line.split("|")[1].strip() for line in out.splitlines()[-3:]] == [
        "in quiet",
        "another daemon managed",
        "this daemon managed",
    ]
