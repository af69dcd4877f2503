"""The task attributes of SAM-5 §8.6."""

import enum

__all__ = ["TaskAttribute"]


class TaskAttribute(enum.IntEnum):
    """When a task may run beside others; the values are those of the ATTR field of RFC 7143 §11.3.1."""

    UNTAGGED = 0
    SIMPLE = 1
    ORDERED = 2
    HEAD_OF_QUEUE = 3
    ACA = 4
