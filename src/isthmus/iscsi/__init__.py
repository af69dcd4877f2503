"""RFC 7143 without I/O: PDUs, login, sessions, transfers. Bytes and events in, bytes and actions out."""
