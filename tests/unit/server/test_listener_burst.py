import asyncio
import contextlib
import socket
import warnings

from isthmus.server.listener import MAX_LOGINS_OF_ADDRESS, Listener, LoginLimiter, bind
from isthmus.server.options import Portal
from tests.support.patience import PATIENCE


async def test_a_burst_of_connections_is_cut_to_the_bound() -> None:
    """Those given up are closed by their own login, however many come between two turns of the loop."""
    sock = bind(Portal("127.0.0.1", 0))
    count = MAX_LOGINS_OF_ADDRESS * 2 - 8
    begun = ended = 0
    cut = asyncio.Event()

    async def log_in(accepted: socket.socket, peer: str) -> None:
        nonlocal begun, ended
        begun += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended += 1
            accepted.close()
            if ended == count - MAX_LOGINS_OF_ADDRESS:
                cut.set()

    limiter = LoginLimiter()
    listener = Listener(sock, limiter, log_in)
    listener.start()
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
        async with asyncio.timeout(PATIENCE):
            await cut.wait()
    assert begun - ended == MAX_LOGINS_OF_ADDRESS
    listener.stop()
    await limiter.stop()
    assert begun == ended
