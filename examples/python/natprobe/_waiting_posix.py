# SPDX-License-Identifier: MIT
"""Waiting for a descriptor."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

assert sys.platform != "win32"

IS_DESCRIPTOR = True


def wait(*fds: int) -> None:
    """Blocks until one is readable. Signal handlers run meanwhile."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    poller.poll()


async def wait_trio(lowlevel: Any, fd: int) -> None:
    """Waits in trio."""
    await lowlevel.wait_readable(fd)


class Wait:
    """A wait that another thread can end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ended, self._end = os.pipe()

    def __enter__(self) -> Wait:
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._ended)
        os.close(self._end)

    def until_ready(self) -> None:
        """Blocks until the descriptor is readable, or until end()."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        poller.register(self._ended, select.POLLIN)
        poller.poll()

    def end(self) -> None:
        """Makes until_ready() return, now or when it is called."""
        os.write(self._end, b"\0")
