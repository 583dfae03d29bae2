# SPDX-License-Identifier: MIT
"""
natprobe.exe as a process of its own: test_program.py VERSION SERVER RUNNER NATPROBE.EXE

Prints TAP.
"""
import json
import signal
import socket
import subprocess
import sys
import time

VERSION, SERVER, *PROGRAM = sys.argv[1:]
SECONDS = 60


def run(*arguments):
    """(status, stdout, stderr), lines as Windows ends them."""
    done = subprocess.run([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")


def version_is_printed(_server):
    status, out, err = run("--version")
    assert (status, err) == (0, "") and out == "natprobe %s (libnatprobe %s)\r\n" % (VERSION, VERSION), (out, err)


def help_is_printed(_server):
    status, out, _ = run("--help")
    assert status == 0 and out.startswith("Usage: natprobe") and "--server" in out, out


def wrong_usage_has_a_status_of_its_own(_server):
    for arguments in (["--fast"], ["-p", "70000"], ["-4", "-6", "--watch"], ["more"]):
        status, out, err = run(*arguments)
        assert status == 2 and out == "" and "Try 'natprobe --help'." in err, (arguments, status, err)


def a_report_is_printed(server):
    status, out, err = run("-s", server)
    lines = out.split("\r\n")
    assert status == 0 and err == "" and "\n" not in "".join(lines), err
    assert lines[0].startswith("NAT type     Open Internet (No NAT) [open-internet]"), lines
    assert any(line.startswith("External     127.0.0.1:") for line in lines), lines


def json_is_printed(server):
    status, out, err = run("-s", server, "--json")
    result = json.loads(out)
    assert status == 0 and err == "", err
    assert result["status"] == "ok" and result["nat_type"] == "open-internet", result
    assert result["external_ip"] == result["local_ip"] == "127.0.0.1", result


def one_word_is_printed(server):
    assert run("-s", server, "-q") == (0, "open-internet\r\n", "")


def events_are_shown(server):
    status, _, err = run("-s", server, "-v")
    assert status == 0 and " sent " in err and " answered " in err and " concluded " in err, err


def a_port_that_is_taken_is_told(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        status, out, err = run("-s", server, "-b", "127.0.0.1", "-p", str(port))
    expected = "cannot use 127.0.0.1:%d as the source: bind: Address already in use" % port
    assert status == 1 and out == "" and expected in err, err


def an_interface_that_is_not_there_is_told(server):
    status, _, err = run("-s", server, "-i", "no-such-interface")
    assert status == 1 and "cannot use the interface no-such-interface" in err, err


def a_name_that_leads_nowhere_is_told(_server):
    status, _, err = run("-s", "nowhere.invalid", "-t", "5")
    assert status == 1 and "cannot resolve nowhere.invalid: " in err, err


def ctrl_c_ends_a_check(_server):
    """Wine hands SIGINT on as Ctrl-C."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        process = subprocess.Popen(
            [*PROGRAM, "-s", "127.0.0.1:%d" % silent.getsockname()[1], "-t", "60", "--response-timeout", "60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        silent.settimeout(SECONDS)
        silent.recv(2048)  # it has begun
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "cancelled" in err.decode("ascii"), (process.returncode, err)


class Server:
    """A server on loopback, which is a program of this system."""

    def __init__(self, *options):
        self.process = subprocess.Popen([SERVER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.name = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


CASES = [
    version_is_printed,
    help_is_printed,
    wrong_usage_has_a_status_of_its_own,
    a_report_is_printed,
    json_is_printed,
    one_word_is_printed,
    events_are_shown,
    a_port_that_is_taken_is_told,
    an_interface_that_is_not_there_is_told,
    a_name_that_leads_nowhere_is_told,
    ctrl_c_ends_a_check,
]


def main():
    failed = 0
    print("1..%d" % len(CASES))
    with Server() as server:
        for number, case in enumerate(CASES, 1):
            start = time.monotonic()
            try:
                case(server.name)
                print("ok %d - %s" % (number, case.__name__), flush=True)
            except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as problem:
                failed += 1
                print("# %r" % problem)
                print("not ok %d - %s" % (number, case.__name__), flush=True)
            print("# %.1f s" % (time.monotonic() - start))
    sys.exit(1 if failed else 0)


main()
