# SPDX-License-Identifier: MIT
"""The version has one source, meson.build; the change log, the pkg-config file, the header and the library agree with it."""
import ctypes
import re

import common


def find(pattern, path):
    match = re.search(pattern, common.read(path), flags=re.M)
    return match.group(1) if match else None


def main():
    p = common.parser(__doc__)
    p.add_argument("version", help="the version that meson.build gives")
    p.add_argument("meson_build")
    p.add_argument("changelog")
    p.add_argument("pkg_config")
    p.add_argument("version_h")
    p.add_argument("library", nargs="?", help="left out where it cannot be loaded into Python, as under a sanitizer")
    args = p.parse_args()
    parts = [int(n) for n in args.version.split(".")]
    expected = [
        ("meson.build", find(r"^\s*version: '([^']*)'", args.meson_build)),
        ("the newest entry of CHANGELOG.md", find(r"^## (\d+\.\d+\.\d+)", args.changelog)),
        ("libnatprobe.pc", find(r"^Version: (.*)$", args.pkg_config)),
        ("version.h", find(r'^#define NP_VERSION "(.*)"$', args.version_h)),
    ]
    problems = []
    if args.library:
        library = ctypes.CDLL(args.library)
        library.np_version.restype = ctypes.c_char_p
        library.np_version_number.restype = ctypes.c_uint32
        expected.append(("np_version()", library.np_version().decode()))
        number = library.np_version_number()
        if number != parts[0] << 16 | parts[1] << 8 | parts[2]:
            problems.append("np_version_number() is %#x" % number)
    problems += ["%s says %s, not %s" % (where, seen, args.version) for where, seen in expected if seen != args.version]
    common.finish(problems, args.expect)


main()
