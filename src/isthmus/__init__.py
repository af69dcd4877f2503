"""Isthmus: an iSCSI target that turns files, block devices and memory into disks on the network."""

__all__ = ["__version__"]

__version__ = "0.1.0"
