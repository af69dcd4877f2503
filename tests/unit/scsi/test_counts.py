from isthmus.scsi.counts import Counts
from isthmus.scsi.fast_path_grant import FastPathGrant
from tests.support.primary import CachedMemory


def test_counts_are_values() -> None:
    """That can be added, and taken from each other."""
    one, other = Counts(read_commands=1, bytes_read=512), Counts(read_commands=2, write_errors=1)
    assert one + other == Counts(read_commands=3, bytes_read=512, write_errors=1)
    assert one + other - other == one


def test_what_the_engine_has_served() -> None:
    """Under several grants together, without what went the long way."""
    grants = [FastPathGrant(CachedMemory(), block_length=512, num_blocks=8) for _ in range(2)]
    for grant in grants:
        grant.read_commands, grant.read_bytes, grant.write_commands, grant.write_bytes = 1, 512, 2, 1024
        grant.long_way.read_commands = 7
    assert Counts.of_grants(grants) == Counts(read_commands=2, bytes_read=1024, write_commands=4, bytes_written=2048)
