# SPDX-License-Identifier: MIT
"""The small programs in C, which people copy: what they do when something is refused. All on loopback."""
import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "structure"))
import common  # noqa: E402

PATIENCE = 300  # seconds for anything to happen that must happen; a program that spins has to be ended

args = None


def environment(**more):
    asan = os.environ.get("ASAN_OPTIONS", "")
    return dict(os.environ, LD_PRELOAD=args.shim, ASAN_OPTIONS=asan + ":verify_asan_link_order=0", **more)


def run(program, *servers, **more):
    return subprocess.run([program, *servers], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE, env=environment(**more))


class Server:
    """The test server, for as long as the with statement lasts."""
    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen([args.server, *self.options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.was_asked = "asked" in self.process.stdout.read()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def name_of(program):
    return os.path.basename(program).replace("example-", "")


def ended(done, status, *words):
    problems = [] if done.returncode == status else ["exit status %d, not %d" % (done.returncode, status)]
    said = done.stdout + done.stderr
    problems += ["%r is not said" % word for word in words if word not in said]
    return problems + (["it said %r" % said] if problems else [])


def a_verdict(program):
    with Server() as server:
        return ended(run(program, server.name), 0)


def a_server_that_is_none(program):
    """Nobody else is asked: the right server beside it is not, and nor are the public ones."""
    with Server() as server:
        done = run(program, server.name, "127.0.0.1:")
    status = 1 if name_of(program) == "mapping" else 2
    return ended(done, status, "127.0.0.1:: An argument") + (["a server was asked"] if server.was_asked else [])


def no_memory(program):
    return ended(run(program, "127.0.0.1:9", NP_TEST_REFUSE="np_probe_new"), 2 if name_of(program) == "poll-loop" else 1, "Out of memory")


def no_poll(program):
    with Server() as server:
        return ended(run(program, server.name, NP_TEST_REFUSE="poll"), 1, "poll: Invalid argument")


def no_signal(program):
    """The handles that there are by then are closed, and so is the loop."""
    with Server() as server:
        return ended(run(program, server.name, NP_TEST_REFUSE="uv_signal_start"), 1, "libuv: invalid argument", "loop closed")


def no_wait(program):
    with Server() as server:
        return ended(run(program, server.name, NP_TEST_REFUSE="epoll_wait"), 1, "epoll: Invalid argument")


def no_signal_source(program):
    with Server() as server:
        return ended(run(program, server.name, NP_TEST_REFUSE="g_unix_signal_add"), 1, "glib: the signal cannot be watched")


def descriptors_of(pid):
    """{number: what it is}, apart from the standard streams, and from those that are closed at this moment."""
    folder, there = "/proc/%d/fd" % pid, {}
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            there[number] = os.readlink(os.path.join(folder, number))
    return {number: kind for number, kind in there.items() if int(number) > 2}


def takes_interrupts(pid):
    """Has the process a handler for SIGINT by now, or a descriptor to read it from? Any start of a thread may block it."""
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    return caught & 1 << (signal.SIGINT - 1) != 0 or "anon_inode:[signalfd]" in descriptors_of(pid).values()


def an_interrupt(program):
    """It cancels the check, which goes on because the server is silent, and the program ends in the ordinary way."""
    with Server("reply=1") as silent:
        with subprocess.Popen([program, silent.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=environment()) as process:
            while process.poll() is None and not takes_interrupts(process.pid):
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
    return ended(subprocess.CompletedProcess(program, process.returncode, out, err), 1, "cancelled", "ticks meanwhile")


def start_punch(program, server):
    return subprocess.Popen([program, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def two_that_connect(program):
    """Each gets the line of the other."""
    with Server() as server, start_punch(program, server.name) as one, start_punch(program, server.name) as other:
        lines = one.stdout.readline(), other.stdout.readline()
        one.stdin.write(lines[1])
        other.stdin.write(lines[0])
        one.stdin.close()
        other.stdin.close()
        one.stdin = other.stdin = None
        ends = [process.communicate(timeout=PATIENCE) for process in (one, other)]
    problems = [] if lines[0].startswith("np1 m=none f=ei") else ["the profile is %r" % lines[0]]
    for process, (out, err) in zip((one, other), ends):
        problems += ended(subprocess.CompletedProcess(program, process.returncode, out, err), 0, "connected with 127.0.0.1 port")
    return problems


def a_peer_that_is_none(program):
    """No line, a line that is none, one without an address; one with which nothing can connect."""
    problems = []
    for line, status, word in (("", 1, "no line of the peer"), ("np2", 1, "version"), ("np1 m=ei", 1, "no IPv4 address"),
                               ("np1 b=1 x=192.0.2.1:9", 3, "use a relay")):
        with Server() as server, start_punch(program, server.name) as process:
            out, err = process.communicate(line, timeout=PATIENCE)
        problems += ended(subprocess.CompletedProcess(program, process.returncode, out, err), status, word)
    return problems


def is_close_on_exec(pid, number):
    with open("/proc/%d/fdinfo/%s" % (pid, number), encoding="ascii") as file:
        flags = next(line for line in file if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_CLOEXEC != 0


def sockets_of(pid):
    folder = "/proc/%d/fd" % pid
    return [number for number in os.listdir(folder) if os.readlink(os.path.join(folder, number)).startswith("socket:")]


def inherits_nothing(program):
    """The socket of its own as well as those of the library are closed in a program that it would start."""
    with Server("reply=1") as silent:
        process = subprocess.Popen([program, silent.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        process.stdout.readline()
        sockets = sockets_of(process.pid)
        problems = ["socket %s is inherited" % number for number in sockets if not is_close_on_exec(process.pid, number)]
        process.kill()
        process.communicate(timeout=PATIENCE)
    return problems + ([] if sockets else ["it has no socket"])


def inherits_no_loop(program):
    """Nor are the descriptors of its loop inherited: looked at once all of them are there, the library's among them."""
    loop = {"anon_inode:[signalfd]": 1, "anon_inode:[timerfd]": 2, "anon_inode:[eventpoll]": 2}
    with Server("reply=1") as silent:
        with subprocess.Popen([program, silent.name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=environment()) as process:
            there = {}
            while process.poll() is None and any(list(there.values()).count(kind) < count for kind, count in loop.items()):
                there = descriptors_of(process.pid)
            problems = []
            for number, kind in there.items():
                with contextlib.suppress(FileNotFoundError):
                    problems += [] if is_close_on_exec(process.pid, number) else ["%s is inherited" % kind]
            process.kill()
    return problems + ([] if there else ["it ended by itself"])


def main():
    global args
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("server")
    p.add_argument("shim")
    p.add_argument("program", nargs="+")
    args = p.parse_args()
    tap = common.Tap()
    cases = [(check, None) for check in (a_verdict, a_server_that_is_none, no_memory)]
    cases += [(two_that_connect, "punch"), (a_peer_that_is_none, "punch")]
    cases += [(no_poll, "poll-loop"), (no_poll, "own-socket"), (no_signal, "libuv"), (no_wait, "epoll"), (no_signal_source, "glib"), (inherits_nothing, "own-socket")]
    cases += [(an_interrupt, name) for name in ("epoll", "libuv", "glib")] + [(inherits_no_loop, "epoll")]
    for program in args.program:
        for check, only in cases:
            if only in (None, name_of(program)) and (check, name_of(program)) != (a_verdict, "punch"):
                tap.check("%s: %s" % (name_of(program), check.__name__), check(program))
    tap.finish()


main()
