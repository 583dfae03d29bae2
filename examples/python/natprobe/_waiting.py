# SPDX-License-Identifier: MIT
"""Waits until a descriptor is readable: in this thread, in asyncio, or in trio. anyio runs on either of the two."""

from __future__ import annotations

import asyncio
import select
import sys


def wait(fd: int) -> None:
    """Blocks. Signal handlers run meanwhile."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    poller.poll()


async def wait_async(fd: int) -> None:
    """Waits in the event loop that runs the current task."""
    name = _event_loop()
    if name == "trio":
        await sys.modules["trio"].lowlevel.wait_readable(fd)
    elif name == "asyncio":
        await _wait_asyncio(fd)
    else:
        raise RuntimeError(f"natprobe runs in asyncio and trio, not in {name}; use start(), fileno() and process()")


def _event_loop() -> str:
    """trio brings sniffio along. A program that has not loaded it runs asyncio."""
    sniffio = sys.modules.get("sniffio")
    return "asyncio" if sniffio is None else str(sniffio.current_async_library())


async def _wait_asyncio(fd: int) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(fd, _wake, readable)
    try:
        await readable
    finally:
        loop.remove_reader(fd)


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
