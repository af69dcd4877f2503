"""The other end, on the same codec: discover, log in, read, write, measure; what the tests drive a target with.

`session.Session.login` logs in and runs any CDB; `logical_unit.LogicalUnit` has the common commands as methods;
`discovery.discover` asks a portal for its targets; `raw_connection.RawConnection` sends and receives PDUs and no more,
for whoever must say what no rule allows.
"""
