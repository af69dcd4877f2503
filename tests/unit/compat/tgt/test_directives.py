from isthmus.compat.tgt.directives import LUN, LUN_PARAMETERS, TARGET, target_keys
from isthmus.compat.tgt.unit_parameters import UNIT_PARAMETERS


def test_what_a_target_hands_on() -> None:
    """Is in its table; `state` comes last."""
    assert target_keys()[-1] == "state"
    assert set(target_keys()) <= TARGET.keys()


def test_what_a_unit_hands_on() -> None:
    """Is a parameter of tgtadm, and may stand at the target for all of its units."""
    assert set(LUN_PARAMETERS) - {"path"} <= UNIT_PARAMETERS.keys()
    assert LUN.keys() <= TARGET.keys()
