from isthmus.scsi.task_set_rules import QueueErrorManagement, TaskSetRules, UnitAttentionInterlock


def test_the_values_are_those_of_the_page() -> None:
    """What the standard reserves is no member (SPC-5 tables 460 and 461)."""
    assert [int(value) for value in QueueErrorManagement] == [0, 1, 3]
    assert [int(value) for value in UnitAttentionInterlock] == [0, 2, 3]


def test_the_plainest_rules() -> None:
    """One task set, in any order, in which an error concerns nobody else."""
    rules = TaskSetRules()
    assert (rules.per_nexus, rules.restricted_reordering, rules.task_management_only) == (False, False, False)
    assert rules.queue_error_management is QueueErrorManagement.RESUME
    assert rules.unit_attention_interlock is UnitAttentionInterlock.CLEAR
