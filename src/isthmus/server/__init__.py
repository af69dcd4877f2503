"""Asyncio and sockets beside the engine: listen, log in, hand over, stop."""
