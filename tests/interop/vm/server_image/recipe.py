"""What the server's image is made of, beside what the client's has; a change of anything here makes another image."""

__all__ = ["MASKED", "MODULES", "PACKAGES", "WRITABLE_BYTES"]

PACKAGES = (
    "busybox-static",
    "dbus",
    "e2fsprogs",
    "kmod",
    "libiscsi-bin",
    "lsscsi",
    "open-iscsi",
    "procps",
    "python3",
    "sg3-utils",
    "systemd-sysv",
    "udev",
    "util-linux-extra",
)
"""Debian packages of the guest, beside Debian's smallest system."""

MODULES = (
    "autofs4",
    "crc32c_generic",
    "crc_t10dif",
    "crct10dif_pclmul",
    "dm_mod",
    "ext4",
    "iscsi_tcp",
    "libcrc32c",
    "loop",
    "md5",
    "nls_ascii",
    "scsi_debug",
    "sd_mod",
    "sg",
    "sr_mod",
    "st",
    "virtio_scsi",
)
"""Kernel modules that can be loaded, with all that they need."""

MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "proc-sys-fs-binfmt_misc.automount",
    "serial-getty@ttyS0.service",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)
"""Units that would only take time."""

WRITABLE_BYTES = 1 << 30
"""Room for what a test puts there."""
