# SPDX-License-Identifier: MIT
"""Builds the package for pip (PEP 517): an sdist, and a wheel with the library inside. It needs a C compiler alone.

The package calls the library through ctypes. So one wheel is for every version of Python, and its tag names only the
system: py3-none-PLATFORM. The library is compiled from its amalgamation: natprobe.c beside this file in an sdist, and
made from the sources in libnatprobe's own tree.

Environment:
    CC                       the compiler and its options, such as "zig cc -target aarch64-linux-musl"
    CFLAGS, LDFLAGS          more options
    NATPROBE_WHEEL_PLATFORM  the tag of another system, such as win_amd64, that CC compiles for
    SOURCE_DATE_EPOCH        the time that files in wheel and sdist bear; without it 1980

The same sources and the same compiler give the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import io
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile
from typing import Any, Dict, List, Optional, Tuple

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
FIRST_TIME = 315532800  # 1980: a zip file knows no time before
PROGRAMS = ("check.py", "check_async.py")

Settings = Optional[Dict[str, Any]]
Files = Dict[str, bytes]


# ---- What pip and build call ------------------------------------------------------------------------------------------


def get_requires_for_build_wheel(config_settings: Settings = None) -> List[str]:
    """Python reads pyproject.toml by itself from 3.11 on."""
    return [] if sys.version_info >= (3, 11) else ["tomli"]


def get_requires_for_build_sdist(config_settings: Settings = None) -> List[str]:
    """As for a wheel."""
    return get_requires_for_build_wheel()


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The name of the archive that was made in the folder."""
    stem = f"{_project()['name']}-{_version()}"
    files = {f"natprobe/{name}": data for name, data in _package().items()}
    files.update(zip(("natprobe.c", "natprobe.h"), _amalgamation()))
    files.update({name: (HERE / name).read_bytes() for name in ("backend.py", "pyproject.toml", "README.md", *PROGRAMS)})
    files.update({"LICENSE": _licence(), "PKG-INFO": _metadata()})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size, member.mtime, member.mode = len(files[name]), _time(), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    with open(os.path.join(sdist_directory, f"{stem}.tar.gz"), "wb") as file:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=_time()) as packed:
            packed.write(buffer.getvalue())
    return f"{stem}.tar.gz"


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """The name of the folder that was made in the folder."""
    folder = _dist_info()
    for name, data in _info("any").items():
        path = pathlib.Path(metadata_directory, folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None) -> str:
    """The name of the wheel that was made in the folder."""
    tag = _platform()
    name, library = _library(tag)
    files = {f"natprobe/{path}": data for path, data in _package().items()}
    files[f"natprobe/{name}"] = library
    files.update({f"{_dist_info()}/{path}": data for path, data in _info(tag).items()})
    record = f"{_dist_info()}/RECORD"
    lines = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in sorted(files.items())]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    wheel = f"{_project()['name']}-{_version()}-py3-none-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files, key=lambda path: (path.startswith(_dist_info()), path)):
            entry = zipfile.ZipInfo(path, time.gmtime(_time())[:6])
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (0o100755 if path == f"natprobe/{name}" else 0o100644) << 16
            archive.writestr(entry, files[path])
    return wheel


# ---- What is in them --------------------------------------------------------------------------------------------------


def _project() -> Dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project: Dict[str, Any] = toml.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _version() -> str:
    text = (HERE / "natprobe" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.*)"$', text, flags=re.MULTILINE)
    assert found is not None
    return found.group(1)


def _package() -> Files:
    paths = [*sorted((HERE / "natprobe").glob("*.py")), HERE / "natprobe" / "py.typed"]
    return {path.name: path.read_bytes() for path in paths}


def _licence() -> bytes:
    own = HERE / "LICENSE"
    return (own if own.exists() else TREE / "LICENSE").read_bytes()


def _amalgamation() -> Tuple[bytes, bytes]:
    """natprobe.c and natprobe.h."""
    own = HERE / "natprobe.c"
    if own.exists():
        return own.read_bytes(), (HERE / "natprobe.h").read_bytes()
    folder = str(TREE / "libnatprobe" / "amalgamation")
    if not os.path.exists(folder):
        raise FileNotFoundError(f"neither {own} nor {folder}: this is not an sdist, nor libnatprobe's tree")
    sys.path.insert(0, folder)
    try:
        source, header = importlib.import_module("copies").amalgamation()
    finally:
        sys.path.remove(folder)
    return source.encode(), header.encode()


def _dist_info() -> str:
    return f"{_project()['name']}-{_version()}.dist-info"


def _info(tag: str) -> Files:
    wheel = f"Wheel-Version: 1.0\nGenerator: natprobe {_version()}\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n"
    return {"METADATA": _metadata(), "WHEEL": wheel.encode(), "licenses/LICENSE": _licence()}


def _metadata() -> bytes:
    project = _project()
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {_version()}",
        f"Summary: {project['description']}",
        f"Keywords: {','.join(project['keywords'])}",
        *(f"Classifier: {classifier}" for classifier in project["classifiers"]),
        f"Requires-Python: {project['requires-python']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        "Description-Content-Type: text/markdown",
        "",
        (HERE / "README.md").read_text(encoding="utf-8"),
    ]
    return "\n".join(lines).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _time() -> int:
    return max(int(os.environ.get("SOURCE_DATE_EPOCH", FIRST_TIME)), FIRST_TIME)


# ---- The library ------------------------------------------------------------------------------------------------------


def _platform() -> str:
    """The platform's tag. A Python for two processors of a Mac builds for the one that it runs on."""
    chosen = os.environ.get("NATPROBE_WHEEL_PLATFORM")
    if chosen and not re.fullmatch(r"[a-z0-9_]+", chosen):
        raise ValueError(f"NATPROBE_WHEEL_PLATFORM is no tag: {chosen!r}")
    here = sysconfig.get_platform().replace("universal2", platform.machine())
    return chosen or re.sub(r"[-.]", "_", here)


def _is_windows(tag: str) -> bool:
    return tag.startswith(("win", "mingw"))


def _compiler(tag: str) -> List[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    if chosen:
        return chosen
    names = ("cl", "gcc", "clang") if _is_windows(tag) else ("cc", "gcc", "clang")
    found = [name for name in names if shutil.which(name)]
    if not found:
        raise FileNotFoundError("natprobe needs a C compiler to build its library: install one, or set CC")
    return found[:1]


def _command(tag: str, compiler: List[str], name: str) -> List[str]:
    """Compiles natprobe.c in the current folder, so that no path gets into the library."""
    more = shlex.split(os.environ.get("CFLAGS", ""))
    link = shlex.split(os.environ.get("LDFLAGS", ""))
    if os.path.basename(compiler[0]).lower() in ("cl", "cl.exe"):
        system = ["ws2_32.lib", "iphlpapi.lib", "bcrypt.lib"]
        options = ["/nologo", "/std:c11", "/O1", "/LD", "/DNPI_BUILDS_LIBRARY", *more, "natprobe.c", f"/Fe:{name}"]
        return [*compiler, *options, "/link", "/Brepro", *system, *link]
    options = ["-std=c11", "-Os", "-g0", "-fvisibility=hidden", "-DNPI_BUILDS_LIBRARY", *more, "natprobe.c", "-o", name]
    if _is_windows(tag):
        return [*compiler, *options, "-shared", "-s", *link, "-lws2_32", "-liphlpapi", "-lbcrypt"]
    if tag.startswith("macosx"):
        version = ".".join(tag.split("_")[1:3])
        install_name = f"-Wl,-install_name,@rpath/{name}"
        return [*compiler, *options, "-dynamiclib", f"-mmacosx-version-min={version}", install_name, *link]
    # A name look-up that hangs outlives the call that started it: its code has to stay in memory (nodelete).
    elf = ["-shared", "-fPIC", "-pthread", "-s", "-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,-z,defs"]
    return [*compiler, *options, *elf, *link]


def _library(tag: str) -> Tuple[str, bytes]:
    """The library's name in the package, and its bytes."""
    name = "natprobe.dll" if _is_windows(tag) else "libnatprobe." + ("dylib" if tag.startswith("macosx") else "so")
    with tempfile.TemporaryDirectory() as folder:
        for file, data in zip(("natprobe.c", "natprobe.h"), _amalgamation()):
            pathlib.Path(folder, file).write_bytes(data)
        command = _command(tag, _compiler(tag), name)
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}: exit status {done.returncode}\n{done.stdout}")
        return name, pathlib.Path(folder, name).read_bytes()
