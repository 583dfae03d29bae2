# SPDX-License-Identifier: MIT
"""What the tests of this folder share."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / "structure"), str(ROOT / "libnatprobe" / "amalgamation")]
# What somebody has who unpacks a release.
TREE = ["meson.build", "meson_options.txt", "libnatprobe.pc.in", "libnatprobe", "include", "examples", "docs", "tests", "LICENSE",
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]


def attempt(command, **options):
    """What went wrong, in a list; and what was said."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", 1500)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)
    return [] if done.returncode == 0 else ["%s: exit status %d\n%s" % (" ".join(map(str, command)), done.returncode, done.stdout[-6000:])], done.stdout


def environment(*without, **more):
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, **{name: str(value) for name, value in more.items()}}


def copy_tree(folder, names=TREE):
    folder.mkdir(parents=True)
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "target", "corpus"))
        else:
            shutil.copy(source, folder)
    return folder


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def version():
    import copies
    return copies.version_header().split('NP_VERSION "')[1].split('"')[0]


@contextlib.contextmanager
def server():
    """The name of a STUN server on loopback, with everything that a full verdict needs."""
    code = "import support, sys; s = support.LocalServer(); print(s.name, flush=True); sys.stdin.read()"
    folder = ROOT / "tests" / "ffi" / "python"
    with subprocess.Popen([sys.executable, "-B", "-c", code], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def run_program(program, name):
    """Whether a program finds the open internet of loopback."""
    problems, said = attempt([*program, name], timeout=120)
    return problems or ([] if "Open Internet" in said else ["it says " + said])
