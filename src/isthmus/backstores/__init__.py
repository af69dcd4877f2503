"""Where blocks live. A backstore reads, writes, flushes, discards and maps bytes; it knows neither SCSI nor iSCSI."""
