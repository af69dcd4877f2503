"""Use cases: what an operator can do with a target, whatever face it is asked through."""
