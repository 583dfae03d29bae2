# SPDX-License-Identifier: MIT
"""Waits until the library has something to do: in this thread, in asyncio, or in trio. anyio runs on either of the two.

What is waited for is a descriptor. On Windows it is a handle, which no event loop but trio's takes.
"""

from __future__ import annotations

import asyncio
import sys
import threading

if sys.platform == "win32":
    from . import _waiting_windows as _system
else:
    from . import _waiting_posix as _system


def wait(*ready: int) -> None:
    """Blocks until there is something to do for one of them. Signal handlers run meanwhile."""
    _system.wait(*ready)


async def wait_async(ready: int) -> None:
    """Waits in the event loop that runs the current task."""
    name = event_loop()
    if name == "trio":
        await _system.wait_trio(sys.modules["trio"].lowlevel, ready)
    elif name == "asyncio":
        await _wait_asyncio(ready)
    else:
        raise RuntimeError(f"natprobe runs in asyncio and trio, not in {name}; use start(), fileno() and process()")


def event_loop() -> str:
    """The kind of loop that runs the current task. trio brings sniffio along. A program that has not loaded it runs asyncio."""
    sniffio = sys.modules.get("sniffio")
    return "asyncio" if sniffio is None else str(sniffio.current_async_library())


async def _wait_asyncio(ready: int) -> None:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    if not _watches(loop, ready, woken):
        await _wait_in_thread(loop, ready, woken)
        return
    try:
        await woken
    finally:
        loop.remove_reader(ready)


def _watches(loop: asyncio.AbstractEventLoop, ready: int, woken: asyncio.Future[None]) -> bool:
    """Whether the loop itself watches the descriptor. A loop of completions, such as Proactor's, watches none."""
    if not _system.IS_DESCRIPTOR:
        return False
    try:
        loop.add_reader(ready, _wake, woken)
    except NotImplementedError:
        return False
    return True


async def _wait_in_thread(loop: asyncio.AbstractEventLoop, ready: int, woken: asyncio.Future[None]) -> None:
    """A thread waits. It has ended when this returns or raises."""
    with _system.Wait(ready) as wait:
        thread = threading.Thread(target=_watch, args=(loop, wait, woken), name="natprobe", daemon=True)
        thread.start()
        try:
            await woken
        finally:
            wait.end()
            thread.join()


def _watch(loop: asyncio.AbstractEventLoop, wait: _system.Wait, woken: asyncio.Future[None]) -> None:
    failure = None
    try:
        wait.until_ready()
    except OSError as error:
        failure = error
    try:
        loop.call_soon_threadsafe(_wake, woken, failure)
    except RuntimeError:
        pass  # the loop was closed before its task ended: nobody waits any more


def _wake(woken: asyncio.Future[None], failure: BaseException | None = None) -> None:
    if woken.done():
        return
    if failure is None:
        woken.set_result(None)
    else:
        woken.set_exception(failure)
