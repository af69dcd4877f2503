"""What the guest's image is made of; a change of anything here makes another image."""

__all__ = ["EARLY_MODULES", "MODULES", "PACKAGES", "PRUNED"]

PACKAGES = (
    "busybox-static",
    "e2fsprogs",
    "fio",
    "iproute2",
    "kmod",
    "lsscsi",
    "multipath-tools",
    "open-iscsi",
    "procps",
    "sg3-utils",
    "udev",
    "xfsprogs",
)
"""Debian packages of the guest, beside Debian's smallest system."""

EARLY_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "overlay",
    "crc32c_intel",
    "virtio_net",
    "9pnet_virtio",
    "9p",
    "virtio_rng",
)
"""Kernel modules that the guest has from the start."""

MODULES = (
    "iscsi_tcp",
    "sd_mod",
    "sg",
    "ses",
    "st",
    "sr_mod",
    "scsi_dh_alua",
    "scsi_dh_rdac",
    "scsi_dh_emc",
    "dm_multipath",
    "dm_round_robin",
    "dm_queue_length",
    "dm_service_time",
    "dm_mod",
    "xfs",
    "ext4",
    "isofs",
    "loop",
    "crc32c_generic",
    "crct10dif_pclmul",
    "crc_t10dif",
    "libcrc32c",
    "md5",
    "nls_ascii",
)
"""Kernel modules that can be loaded, with all that they need."""

PRUNED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/i18n",
    "var/cache",
    "var/lib/apt/lists",
)
"""Directories whose content the guest can do without."""
