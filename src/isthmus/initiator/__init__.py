"""The other end, on the same codec: discover, log in, read, write, measure; what the tests drive a target with."""
