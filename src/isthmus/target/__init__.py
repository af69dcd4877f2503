"""The running objects an operator configures: target nodes, portal groups, LUN maps, access."""
