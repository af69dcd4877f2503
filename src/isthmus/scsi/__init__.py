"""SAM-5, SPC-5 and SBC-4, sans-IO: what a disk answers. Knows nothing of iSCSI, sockets, clocks or threads.

A command's way: `task_router` finds the logical unit, `cdb` turns the bytes into a parsed command by the row of
`opcodes`, `task_set` decides when it may run, `device_server` checks what stands in its way (unit attention,
reservation, readiness) and runs the row's handler, which yields block operations and ends with a `Response`.
"""
