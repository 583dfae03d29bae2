# SPDX-License-Identifier: MIT
"""Zig's C compiler, which brings the headers and libraries of many systems, from the PyPI package ziglang."""
import fcntl
import os
import pathlib
import stat
import venv

import common

VERSION = "0.17.1"
# Meson asks the linker for its name in this way, and knows lld, which zig starts.
WRAPPER = """#!/bin/sh
case " $* " in *" -Wl,--version "*) echo "LLD (compatible with GNU linkers)"; exit 0 ;; esac
exec "%s" -m ziglang cc "$@"
"""


def install(folder):
    """The command of the compiler. It is installed into the folder, by one process at a time, unless it is there."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(folder / "cache")
    mark = folder / "ready"
    python = folder / "zig" / "bin" / "python"
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != VERSION:
            venv.create(folder / "zig", with_pip=True, clear=True)
            common.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "ziglang==" + VERSION])
            mark.write_text(VERSION)
    return [str(python), "-m", "ziglang", "cc"]


def wrapper(folder):
    """The compiler as one program, for Meson."""
    path = pathlib.Path(folder).resolve() / "cc"
    path.write_text(WRAPPER % install(folder)[0])
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)
