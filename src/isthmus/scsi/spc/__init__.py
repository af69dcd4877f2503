"""Primary commands (SPC-5): what every logical unit answers."""
