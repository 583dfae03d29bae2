# SPDX-License-Identifier: MIT
"""What "meson install" lays down is whole: a program builds against it, shared and static, and Python can call it."""
import argparse
import ctypes
import glob
import os
import re
import shutil
import subprocess
import tempfile

import common

# More than half of it is the engine, with its optional tests. gcc's library has 158 KiB, clang's 166.
LARGEST = 168 * 1024
# The C library, the loader, and what are parts of the C library on older systems.
SYSTEM = re.compile(r"(libc\.so\.|libpthread\.so\.|ld-linux|ld64\.so|linux-vdso)")


class Installed:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        environment = dict(os.environ, DESTDIR=folder)
        common.run(args.meson + ["install", "-C", args.build, "--no-rebuild", "--quiet"], env=environment)
        self.library = self.find("libnatprobe.so")
        self.libdir = os.path.dirname(self.library)

    def find(self, name):
        found = glob.glob(os.path.join(self.folder, "**", name), recursive=True)
        if len(found) != 1:
            common.finish(["%s is installed %d times" % (name, len(found))])
        return found[0]

    def pkg_config(self, *arguments):
        package = self.find("libnatprobe.pc")
        prefix = re.search(r"^prefix=(.*)$", common.read(package), flags=re.M).group(1)
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(package))
        command = ["pkg-config", "--define-variable=prefix=" + self.folder + prefix] + list(arguments) + ["libnatprobe"]
        return common.run(command, env=environment).split()

    def build(self, name, libraries):
        program = os.path.join(self.folder, name)
        common.run(self.args.cc + ["-std=c11", "-Wall", "-Werror", self.args.consumer, "-o", program]
                   + self.pkg_config("--cflags") + libraries)
        return program


def attempt(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return [] if done.returncode == 0 else ["%s: exit status %d\n%s" % (command, done.returncode, done.stdout)]


def dynamic(path):
    """The (tag, value) pairs of the dynamic section."""
    return re.findall(r"\((NEEDED|SONAME)\).*\[(.*)\]", common.run(["readelf", "-d", path]))


def shared_consumer(installed):
    program = installed.build("consumer-shared", installed.pkg_config("--libs"))
    needed = [value for tag, value in dynamic(program) if tag == "NEEDED"]
    if "libnatprobe.so.1" not in needed:
        return ["the program needs %s" % needed]
    return attempt([program], env=dict(os.environ, LD_LIBRARY_PATH=installed.libdir))


def static_consumer(installed):
    archive = installed.find("libnatprobe.a")
    # -lnatprobe would take the shared library that lies beside the archive; a static link names the archive.
    libraries = [archive if flag == "-lnatprobe" else flag for flag in installed.pkg_config("--static", "--libs")]
    program = installed.build("consumer-static", libraries)
    needed = [value for tag, value in dynamic(program) if tag == "NEEDED"]
    return ["the program needs %s" % name for name in needed if not SYSTEM.match(name)] + attempt([program])


def cxx_consumer(installed):
    """The example in C++: a server that is none is refused, and nobody is asked."""
    program = os.path.join(installed.folder, "consumer-cpp")
    common.run(installed.args.cxx + ["-std=c++17", "-Wall", "-Wextra", "-Werror", installed.args.cxx_consumer, "-o", program]
               + installed.pkg_config("--cflags") + installed.pkg_config("--libs"))
    done = subprocess.run([program, "127.0.0.1:"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, LD_LIBRARY_PATH=installed.libdir))
    return [] if done.returncode == 2 and "127.0.0.1:" in done.stdout else ["exit status %d, %r" % (done.returncode, done.stdout)]


def python_caller(installed):
    library = ctypes.CDLL(installed.library)
    library.np_version.restype = ctypes.c_char_p
    library.np_result_size.restype = ctypes.c_size_t
    library.np_check_nat.argtypes = [ctypes.c_char_p, ctypes.c_uint16, ctypes.c_char_p]
    library.np_error_name.restype = ctypes.c_char_p
    size = library.np_result_size()
    result = ctypes.create_string_buffer(b"\xa5" * size, size)
    code = library.np_check_nat(b"300.0.0.1", 0, result)
    checks = [
        ("np_version", library.np_version().decode(), installed.args.version),
        ("np_result_size", size, 1024),
        ("np_check_nat", library.np_error_name(code), b"argument"),
        ("result.error", int.from_bytes(result.raw[0:4], "little", signed=True), code),
        ("result.reserved", result.raw[400:1024], bytes(624)),
    ]
    return ["%s gives %r, not %r" % (name, seen, wanted) for name, seen, wanted in checks if seen != wanted]


def shape(installed):
    facts = dynamic(installed.library)
    sonames = [value for tag, value in facts if tag == "SONAME"]
    problems = [] if sonames == ["libnatprobe.so.1"] else ["the soname is %s" % sonames]
    problems += ["the library needs %s" % value for tag, value in facts if tag == "NEEDED" and not SYSTEM.match(value)]
    stripped = os.path.join(installed.folder, "stripped.so")
    shutil.copy(installed.library, stripped)
    common.run(["strip", "--strip-unneeded", stripped])
    size = os.path.getsize(stripped)
    print("# stripped: %d bytes" % size)
    is_small = size <= LARGEST or not installed.args.small
    return problems + ([] if is_small else ["%d bytes stripped, %d allowed" % (size, LARGEST)])


def files(installed):
    wanted = ["include/natprobe/natprobe.h", "include/natprobe/natprobe.hpp", "include/natprobe/version.h", "pkgconfig/libnatprobe.pc",
              "cmake/natprobe/natprobe-config.cmake", "cmake/natprobe/natprobe-config-version.cmake", "libnatprobe.a",
              "libnatprobe.so", "libnatprobe.so.1"] + installed.args.expect_file
    present = [os.path.join(base, name) for base, _, names in os.walk(installed.folder) for name in names]
    problems = ["%s is not installed" % w for w in wanted if not any(path.endswith("/" + w) for path in present)]
    inner = [path for path in present if re.search(r"libnp-|internal", os.path.basename(path))]
    return problems + ["%s must not be installed" % path for path in inner]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--small", action="store_true", help="the build is one for size")
    p.add_argument("--cc", action="append", required=True)
    p.add_argument("--cxx", action="append", help="the C++ compiler, one word at a time")
    p.add_argument("--cxx-consumer", help="a program in C++")
    p.add_argument("--meson", action="append", required=True)
    p.add_argument("--expect-file", action="append", default=[], help="also to be installed: the end of a path")
    p.add_argument("build")
    p.add_argument("consumer")
    p.add_argument("version")
    args = p.parse_args()
    tap = common.Tap()
    with tempfile.TemporaryDirectory() as folder:
        installed = Installed(args, folder)
        tap.check("every file is installed, and no inner one", files(installed))
        tap.check("soname, dependencies and size", shape(installed))
        tap.check("a program against the shared library", shared_consumer(installed))
        tap.check("a program against the static library", static_consumer(installed))
        if args.cxx:
            tap.check("a program in C++ against the shared library", cxx_consumer(installed))
        else:
            tap.skip("a program in C++ against the shared library", "no C++ compiler")
        tap.check("Python against the shared library", python_caller(installed))
    tap.finish()


main()
