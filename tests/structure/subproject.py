# SPDX-License-Identifier: MIT
"""Somebody else's meson project uses a copy of this tree as its subproject, and its program runs."""
import argparse
import os
import shutil
import tempfile

import common

PROJECT = """project('consumer', 'c', default_options: ['default_library=%s'])
test('consumer', executable('consumer', 'consumer.c', dependencies: dependency('libnatprobe', fallback: 'libnatprobe')))
"""
TOP_LEVEL = ["meson.build", "meson_options.txt", "libnatprobe.pc.in", "libnatprobe", "include", "examples", "tests", "docs"]


def copy_tree(root, to):
    os.makedirs(to)
    for name in TOP_LEVEL:
        source = os.path.join(root, name)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(to, name), ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--meson", action="append", required=True)
    p.add_argument("root")
    p.add_argument("consumer")
    args = p.parse_args()
    tap = common.Tap()
    for kind in ("shared", "static"):
        with tempfile.TemporaryDirectory() as folder:
            copy_tree(args.root, os.path.join(folder, "subprojects", "libnatprobe"))
            shutil.copy(args.consumer, os.path.join(folder, "consumer.c"))
            with open(os.path.join(folder, "meson.build"), "w", encoding="utf-8") as f:
                f.write(PROJECT % kind)
            build = os.path.join(folder, "build")
            common.run(args.meson + ["setup", "--wrap-mode=nodownload", build, folder])
            common.run(args.meson + ["test", "-C", build, "consumer:"])
            left = [name for name in os.listdir(os.path.join(build, "subprojects", "libnatprobe")) if name in ("tests", "examples")]
            tap.check("default_library=" + kind, ["a subproject builds its " + name for name in left])
    tap.finish()


main()
