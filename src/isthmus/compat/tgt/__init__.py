"""tgt: tgtd's management protocol, the texts of its answers, targets.conf, and the commands tgtadm and tgt-admin."""
