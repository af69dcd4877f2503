"""What users of SCST have: scst.conf, the older ini-style file, and scstadmin."""
