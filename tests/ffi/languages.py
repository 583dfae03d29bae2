# SPDX-License-Identifier: MIT
"""How each language's examples and driver are built, tested and run."""

import dataclasses
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclasses.dataclass
class Step:
    name: str
    command: list
    folder: str = ROOT
    environment: dict = dataclasses.field(default_factory=dict)
    is_needed: bool = True  # nothing after it makes sense without it


class Language:
    """Builds into a folder outside the source tree. driver and examples are commands."""

    name = ""
    tools = ()
    driver = None
    examples = ()  # (name, command): print the type of NAT and end with 0 when given a server in the lab

    def __init__(self, folder):
        self.out = os.path.join(folder, self.name)
        os.makedirs(self.out, exist_ok=True)

    def missing(self, environment):
        return ", ".join(tool for tool in self.tools if not shutil.which(tool))

    def steps(self):
        return []

    def path(self, *names):
        return os.path.join(self.out, *names)


def has_package(package, environment):
    return subprocess.run(["pkg-config", "--exists", package], env=environment).returncode == 0


class C(Language):
    name = "c"
    tools = ("pkg-config",)
    programs = {
        "check": "examples/check.c",
        "mapping": "examples/mapping.c",
        "poll_loop": "examples/c/poll_loop.c",
        "own_socket": "examples/c/own_socket.c",
        "punch": "examples/c/punch.c",
        "events": "examples/c/events.c",
        "epoll": "examples/c/epoll.c",
        "libuv": "examples/c/libuv.c",
        "glib": "examples/c/glib.c",
    }
    packages = {"libuv": "libuv", "glib": "glib-2.0"}  # what a program needs besides the library

    def __init__(self, folder):
        super().__init__(folder)
        self.driver = [self.path("driver")]
        self.examples = [(n, [self.path(n)]) for n in self.programs if n not in ("check", "mapping", "punch")]

    def missing(self, environment):
        return super().missing(environment) or ", ".join(p for p in self.packages.values() if not has_package(p, environment))

    def compile(self, name, sources, packages):
        words = [*shlex.split(os.environ.get("CC", "cc")), "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]
        shell = "%s -o %s %s $(pkg-config --cflags --libs %s) -pthread" % (
            shlex.join(words), shlex.quote(self.path(name)), shlex.join(sources), " ".join(packages))
        return Step("build " + name, ["sh", "-c", shell])

    def steps(self):
        driver = os.path.join("tests", "ffi", "c")
        sources = [os.path.join(driver, n) for n in sorted(os.listdir(os.path.join(ROOT, driver))) if n.endswith(".c")]
        yield self.compile("driver", sources, ["libnatprobe"])
        for name, source in self.programs.items():
            yield self.compile(name, [source], ["libnatprobe"] + [p for n, p in self.packages.items() if n == name])


class Cxx(Language):
    name = "c++"
    tools = ("pkg-config", "g++")
    programs = {"check": "examples/cpp/check.cpp", "consumer": "tests/ffi/c/consumer.cpp"}

    def __init__(self, folder):
        super().__init__(folder)
        self.examples = [(n, [self.path(n)]) for n in self.programs]

    def steps(self):
        words = [*shlex.split(os.environ.get("CXX", "g++")), "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        for name, source in self.programs.items():
            shell = "%s -o %s %s $(pkg-config --cflags --libs libnatprobe)" % (
                shlex.join(words), shlex.quote(self.path(name)), source)
            yield Step("build " + name, ["sh", "-c", shell])


class Python(Language):
    name = "python"

    def __init__(self, folder):
        super().__init__(folder)
        python = [sys.executable, "-B"]
        self.driver = python + [os.path.join(ROOT, "tests", "ffi", "python", "driver.py")]
        self.examples = [
            (n, python + [os.path.join(ROOT, "examples", "python", n + ".py")]) for n in ("check", "check_async")
        ]

    def missing(self, environment):
        return "" if sys.version_info >= (3, 10) else "Python 3.10"

    def steps(self):
        folder = os.path.join(ROOT, "tests", "ffi", "python")
        yield Step("tests", [sys.executable, "-B", "-m", "unittest"], folder, is_needed=False)


class Report(Language):
    """The page of examples/report, which needs packages of its own."""

    name = "report"

    def __init__(self, folder):
        super().__init__(folder)
        self.tests = os.path.join(ROOT, "tests", "ffi", "report")
        python = self.path("environment", "bin", "python")
        self.python = [python, "-B"]
        self.examples = [("natreport", self.python + [os.path.join(self.tests, "check_page.py"), self.path()])]

    def missing(self, environment):
        has_pip = importlib.util.find_spec("ensurepip") is not None
        return Python.missing(self, environment) or ("" if has_pip else "python3-venv")

    def steps(self):
        environment = self.path("environment")
        wanted = [word for folder in (os.path.join(ROOT, "examples", "report"), self.tests)
                  for word in ("-r", os.path.join(folder, "requirements.txt"))]
        yield Step("environment", [sys.executable, "-m", "venv", environment])
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        yield Step("packages", [*self.python, *pip, *wanted])
        yield Step("tests", [*self.python, "-m", "unittest"], self.tests, is_needed=False)


class Rust(Language):
    """Cargo writes beside its sources: it gets a copy."""

    name = "rust"
    tools = ("pkg-config", "cargo")
    programs = ("check", "check_async", "events", "own_socket")

    def __init__(self, folder):
        super().__init__(folder)
        self.driver = [self.path("target", "debug", "natprobe-driver")]
        self.examples = [(n, [self.path("target", "debug", "examples", n)]) for n in self.programs]

    def copy(self):
        for part in (("examples", "rust"), ("tests", "ffi", "rust")):
            shutil.copytree(
                os.path.join(ROOT, *part), self.path(*part), ignore=shutil.ignore_patterns("target"))

    def steps(self):
        self.copy()
        crate, driver = self.path("examples", "rust"), self.path("tests", "ffi", "rust")
        environment = {"CARGO_TARGET_DIR": self.path("target"), "CARGO_TERM_COLOR": "never", "RUSTFLAGS": "-D warnings",
                       "NATPROBE_SYS_VENDORED": "0"}  # the library that is installed is meant

        def cargo(name, folder, *arguments, is_needed=True):
            return Step(name, ["cargo", *arguments, "--quiet"], folder, environment, is_needed)

        yield cargo("build examples", crate, "build", "--locked", "--workspace", "--all-features", "--examples")
        yield cargo("build driver", driver, "build")
        if shutil.which("cargo-clippy"):
            yield cargo("clippy", crate, "clippy", "--workspace", "--all-features", "--all-targets", is_needed=False)
            yield cargo("clippy of the driver", driver, "clippy", is_needed=False)
        yield cargo("build without features", crate, "check", "--workspace", is_needed=False)
        yield cargo("tests", crate, "test", "--workspace", "--all-features", is_needed=False)


class Go(Language):
    name = "go"
    tools = ("pkg-config", "go", "gcc")

    def __init__(self, folder):
        super().__init__(folder)
        self.driver = [self.path("driver")]
        self.examples = [(n, [self.path(n)]) for n in ("natcheck", "natmany")]
        # What pkg-config says is not part of the key of Go's build cache; this is, and keeps an older installation out.
        # The library that is installed is meant, not the copy in the package.
        flags = (os.environ.get("GOFLAGS", "") + " -tags=natprobe_system").strip()
        self.environment = {"CGO_LDFLAGS": "-O2 -g -L" + os.path.join(folder, "prefix", "lib"), "GOFLAGS": flags}

    def missing(self, environment):
        return super().missing(environment) or self.newer(environment)

    def newer(self, environment):
        """The version of Go that is needed, if the one that is there is older."""
        with open(os.path.join(ROOT, "examples", "go", "go.mod"), encoding="utf-8") as file:
            needed = re.search(r"^go ([0-9.]+)$", file.read(), flags=re.M).group(1)
        found = subprocess.check_output(["go", "version"], env=environment, text=True)  # "go version go1.23.4 linux/amd64"
        versions = [[int(number) for number in re.findall("[0-9]+", text)[:2]] for text in (found, needed)]
        return "" if versions[0] >= versions[1] else "Go %s or later" % needed

    def in_own_module(self, package):
        """The commands of the README that take the package into another module, and an example there."""
        with open(os.path.join(package, "README.md"), encoding="utf-8") as file:
            lines = re.findall(r"^(?:cp|go mod edit) .*$", file.read(), flags=re.M)
        commands = [line.replace("LIBNATPROBE", shlex.quote(ROOT)) for line in lines]
        example = shlex.quote(os.path.join(package, "cmd", "natcheck", "main.go"))
        script = ["set -e", "go mod init example.org/program", *commands, "cp %s ." % example, "go vet ./...", "go build ."]
        folder = self.path("module")
        os.makedirs(folder)
        return Step("the README's commands in another module", ["sh", "-c", "\n".join(script)], folder, self.environment, False)

    def without_cgo(self, package):
        """The go command turns cgo off by itself where it finds no C compiler. The error then says so."""
        script = 'said=$(go build . 2>&1) && exit 1; echo "$said" && echo "$said" | grep -q needs_cgo_and_a_C_compiler'
        environment = dict(self.environment, CGO_ENABLED="0")
        return Step("without cgo the error says what is missing", ["sh", "-c", script], package, environment, False)

    def steps(self):
        package, driver = os.path.join(ROOT, "examples", "go"), os.path.join(ROOT, "tests", "ffi", "go")

        def go(name, folder, *arguments, is_needed=True):
            return Step(name, ["go", *arguments], folder, self.environment, is_needed)

        for name, _ in self.examples:
            yield go("build " + name, package, "build", "-o", self.path(name), "./cmd/" + name)
        yield go("build driver", driver, "build", "-o", self.path("driver"), ".")
        yield self.in_own_module(package)
        yield self.without_cgo(package)
        yield go("vet", package, "vet", "./...", is_needed=False)
        yield go("vet driver", driver, "vet", ".", is_needed=False)
        yield go("tests", package, "test", "./...", is_needed=False)
        yield go("tests under the race detector", package, "test", "-race", "./...", is_needed=False)


ALL = [C, Cxx, Python, Report, Rust, Go]
NAMES = {language.name for language in ALL}
