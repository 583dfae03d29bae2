# SPDX-License-Identifier: MIT
"""The natprobe program as people and other programs use it: output, exit status, bad luck, Ctrl-C. All on loopback."""
import argparse
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "structure"))
import common  # noqa: E402

PATIENCE = 300  # seconds for anything to happen that must happen; valgrind and sanitizers are slow
KEYS = ["status", "nat_type", "mapping", "filtering", "external_ip", "external_port", "local_ip", "local_port", "server",
        "rtt_ms", "elapsed_ms", "packets_sent", "packets_received", "ports_seen", "ports_kept", "port_step",
        "external_ips", "local_ips", "local_class", "evidence", "detail"]
# Numbers of tests/support: change_mode and plain_mode (server.h), pretended_mapping (pretended_nat.h)
CHANGE_IGNORE, CHANGE_REJECT = "change=1", "change=5"
REPLY_NONE, REPLY_TEXT = "reply=1", "reply=10"
MAPPING_SHIFTED, MAPPING_BY_ENDPOINT = "mapping=1", "mapping=3"

# Profiles, each from another host; the last tells no address.
CONE = "np1 m=ei f=apd fp=1 v=4 x=203.0.113.7:4000 ips=1 trap=0"
OPEN = "np1 m=none f=ei fp=1 v=4 x=198.51.100.1:4000 ips=1 trap=0"
SYMMETRIC = "np1 m=apd f=apd fp=1 v=4 x=198.51.100.2:4000 ips=1 trap=0"
WITHOUT_ADDRESS = "np1 m=ei f=ei fp=1 v=4 ips=1 trap=0"

args = None


class Server:
    """The test server, for as long as the with statement lasts."""
    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen([args.server] + list(self.options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self.process.stdout.readline().strip()
        if not self.name:
            raise OSError("no such address here: %s" % (self.options,))
        return self

    def wait_until_asked(self):
        self.process.stdout.readline()

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def command(*arguments):
    return shlex.split(os.environ.get("NATPROBE_WRAPPER", "")) + [args.program] + list(arguments)


def environment(**more):
    """Names never leave the program. A sanitizer's runtime would insist on being first."""
    asan = os.environ.get("ASAN_OPTIONS", "")
    return dict(os.environ, LD_PRELOAD=args.shim, ASAN_OPTIONS=asan + ":verify_asan_link_order=0", **more)


def natprobe(*arguments, prefix=(), bare=False):
    """bare: without the wrapper, which may need more than natprobe itself: descriptors, /proc, /dev."""
    line = [args.program] + list(arguments) if bare else command(*arguments)
    return subprocess.run(list(prefix) + line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE, env=environment())


def expect(what, seen, wanted):
    return [] if seen == wanted else ["%s is %r, not %r" % (what, seen, wanted)]


def expect_that(what, holds):
    return [] if holds else [what]


def parse(done):
    """The JSON object, with whatever is wrong with its form."""
    try:
        result = json.loads(done.stdout)
    except ValueError:
        return None, ["no JSON: %r, stderr %r" % (done.stdout, done.stderr)]
    return result, ["%s is missing" % key for key in KEYS if key not in result] + expect("lines", done.stdout.count("\n"), 1)


def expect_verdict(done, nat_type):
    result, problems = parse(done)
    if result is None:
        return problems
    return (problems + expect("exit status", done.returncode, 0) + expect("status", result["status"], "ok")
            + expect("nat_type", result["nat_type"], nat_type))


def expect_failure(done, status, nat_type="unknown"):
    result, problems = parse(done)
    if result is None:
        return problems
    return (problems + expect("exit status", done.returncode, 1) + expect("status", result["status"], status)
            + expect("nat_type", result["nat_type"], nat_type) + expect_that("no detail", result["detail"] != "")
            + expect_that("nothing on stderr", done.stderr.startswith("natprobe: ")))


# ---- Use ------------------------------------------------------------------------------------------------------------

def help_and_version():
    shown = natprobe("--help")
    version = natprobe("--version")
    options = ["--server", "--bind", "--port", "--timeout", "--response-timeout", "--mapping-only", "--json", "--verbose", "--quiet", "--version", "--help", "--profile", "--no-address",
               "--peer", "--outlook", "--tests", "--lifetime-limit",
               "--watch", "--interval", "--survey", "--resume", "--servers"]
    return (expect("exit status", shown.returncode, 0) + expect("stderr", shown.stderr, "")
            + ["--help does not mention " + o for o in options if o not in shown.stdout]
            + expect("exit status", version.returncode, 0)
            + expect_that("the version is %r" % version.stdout, args.version in version.stdout))


def usage_errors():
    problems = []
    for wrong in (["--nonsense"], ["-x"], ["host"], ["-s"], ["-s", ""], ["-s", "127.0.0.1:0"], ["-s", "127.0.0.1:99999"], ["-b", "here"],
                  ["-b", ""], ["-p", "-1"], ["-p", "65536"], ["-p", ""], ["-p", "1x"], ["-t", "0"], ["-t", "x"], ["-t", "-1"], ["-t", ""],
                  ["-t", "nan"], ["-t", "1e9"], ["-4", "-6", "-b", "::1"], ["-6", "-4", "--watch"], ["-4", "-6", "--peer", CONE], ["-4", "-6", "--outlook", CONE, CONE],
                  ["-4", "-6", "-i", "nosuchinterfacename"], ["-4", "-b", "::1"], ["-j", "-q"], ["-s", "127.0.0.1"] * 33, ["--outlook", CONE], ["--outlook"], ["--peer"],
                  ["--outlook", CONE, CONE, CONE], ["--outlook", CONE, "np1 m=x"], ["--outlook", "np1 m=x", CONE], ["--peer", "np2"],
                  ["--peer", CONE, "--profile"], ["--outlook", CONE, CONE, "--profile"], ["--peer", CONE, "--outlook", CONE, CONE],
                  ["--profile", "-j"], ["--profile", "-q"], ["--tests", ""], ["--tests", "none"], ["--tests", "port,"], ["--tests", ",port"],
                  ["--tests", "Port"], ["--tests", "portx"], ["--tests", "por"], ["--lifetime-limit", "0"], ["--lifetime-limit", "3601"],
                  ["--lifetime-limit", "1x"], ["--lifetime-limit", ""], ["--lifetime-limit", "-1"],
                  ["--watch", "--profile"], ["--watch", "--peer", CONE], ["--watch", "--tests", "port"], ["--watch", "--outlook", CONE, CONE],
                  ["--interval", "60"], ["--watch", "--interval", "9"], ["--watch", "--interval", "604801"], ["--watch", "--interval", "-1"],
                  ["--watch", "--interval", "1m"], ["--watch", "--interval"], ["--watch", "-4", "-b", "::1"],
                  ["--survey"], ["--survey", "/nonexistent"], ["--survey", "/dev/null"], ["--survey", "/"], ["--resume", "/dev/null"],
                  ["--survey", "/dev/null", "--watch"], ["--survey", "/dev/null", "-q"], ["--survey", "/dev/null", "-m"],
                  ["--survey", "/dev/null", "--tests", "port"], ["--survey", "/dev/null", "--profile"], ["--survey", "/dev/null", "--peer", CONE],
                  ["--survey", "/dev/null", "--resume", "/nonexistent"], ["-S", "/nonexistent"], ["-S", "/dev/null"], ["-S"]):
        done = natprobe(*wrong)
        problems += expect("exit status of %s" % wrong, done.returncode, 2) + expect("stdout of %s" % wrong, done.stdout, "")
        problems += expect_that("%s: nothing on stderr" % wrong, "natprobe" in done.stderr)
    return problems


def report_for_people():
    with Server() as server:
        done = natprobe("-s", server.name)
    return (expect("exit status", done.returncode, 0) + expect("stderr", done.stderr, "")
            + expect_that("no type in %r" % done.stdout, "Open Internet (No NAT)" in done.stdout)
            + expect_that("no address in %r" % done.stdout, "127.0.0.1:" in done.stdout)
            + ["a line of %d characters" % len(line) for line in done.stdout.splitlines() if len(line) > 80])


OPTIONAL_KEYS = {"port": ["port_open"], "refused": ["refused_takes_port"], "hairpin": ["hairpin", "hairpin_external"]}


def optional_tests():
    """Each brings its own members, and none comes without being asked for."""
    problems = []
    every = [key for keys in OPTIONAL_KEYS.values() for key in keys]
    lists = [[]] + [[name] for name in OPTIONAL_KEYS] + [["port", "refused", "hairpin"]]
    with Server() as server:
        for names in lists:
            asked = ["--tests", ",".join(names)] if names else []
            done = natprobe("-s", server.name, "-b", "127.0.0.1", "-j", *asked)
            problems += expect_verdict(done, "open-internet")
            result = json.loads(done.stdout or "{}")
            wanted = [key for name in names for key in OPTIONAL_KEYS[name]]
            problems += expect("members with %s" % names, [key for key in every if key in result], wanted)
            problems += ["%s is %r" % (key, result[key]) for key in wanted if result[key] not in ("unknown", "no", "yes")]
        mapping = natprobe("-s", server.name, "-b", "127.0.0.1", "--tests", "hairpin", "-m")
        shown = natprobe("-s", server.name, "-b", "127.0.0.1", "--tests", "port,refused", "--tests", "hairpin")
    return (problems + expect_that("-m: %r" % mapping.stdout, "Not tested" in mapping.stdout and "Hairpin" in mapping.stdout)
            + ["no line for %s" % label for label in ("Port  ", "Refused  ", "Hairpin  ") if label not in shown.stdout]
            + ["a line of %d characters" % len(line) for line in shown.stdout.splitlines() if len(line) > 80])


LIFETIME_KEYS = ["lifetime_min_s", "lifetime_max_s", "unanswered_min_s", "unanswered_max_s", "lifetime_recreated"]


def lifetime_of_an_open_host():
    """Nothing is translated, and nothing filtered: there is nothing to wait for, and nothing known."""
    with Server() as server:
        done = natprobe("-s", server.name, "-b", "127.0.0.1", "-j", "--tests", "lifetime", "--lifetime-limit", "3600")
        all_of_them = natprobe("-s", server.name, "-b", "127.0.0.1", "-j", "--tests", "all")
        shown = natprobe("-s", server.name, "-b", "127.0.0.1", "--tests", "lifetime")
    result = json.loads(done.stdout or "{}")
    return (expect_verdict(done, "open-internet")
            + expect("members", {key: result.get(key, "missing") for key in LIFETIME_KEYS},
                     dict.fromkeys(LIFETIME_KEYS[:4], None) | {LIFETIME_KEYS[4]: "unknown"})
            + expect_that("minutes are not asked for with all", LIFETIME_KEYS[0] not in all_of_them.stdout)
            + expect_that("no line: %r" % shown.stdout, "Mapping idle" in shown.stdout) + expect("stderr", shown.stderr, ""))


def lifetime_counts_on_a_terminal():
    """The line counts, a cancel ends the test with its verdict, and nothing of the line is left."""
    ours, terminal = pty.openpty()
    seen = b""
    with Server(MAPPING_SHIFTED) as server:
        process = subprocess.Popen(command("-s", server.name, "-b", "127.0.0.1", "--tests", "lifetime", "--lifetime-limit", "3600"),
                                   stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment(),
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        os.close(terminal)
        while b"s " not in seen.partition(b"lifetime: ")[2] and select.select([ours], [], [], PATIENCE)[0]:
            seen += os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        while select.select([ours], [], [], 0)[0]:
            try:
                seen += os.read(ours, 1000)
            except OSError:  # nobody has it open any more
                break
    os.close(ours)
    return (expect("exit status", process.returncode, 0) + expect_that("no verdict: %r" % out, "[full-cone]" in out)
            + expect_that("no count: %r" % seen, re.search(rb"\rlifetime: \d+ of at most 72\d\d s ", seen))
            + expect_that("not wiped: %r" % seen, re.search(rb"\r +\r$", seen)))


def test_of_the_gateway():
    """Without a NAT nobody is asked, which is told. tests/lab/gateways has the gateways."""
    with Server() as server:
        done = natprobe("-s", server.name, "-b", "127.0.0.1", "-j", "--tests", "gateway")
        shown = natprobe("-s", server.name, "-b", "127.0.0.1", "-v", "--tests", "gateway")
    result = json.loads(done.stdout or "{}")
    return (expect_verdict(done, "open-internet")
            + [problem for key, value in (("another_nat", "unknown"), ("gateway_ip", None), ("gateway_external_ip", None))
               for problem in expect(key, result.get(key, "missing"), value)]
            + expect_that("the report is %r" % shown.stdout, "Gateway      None was asked" in shown.stdout)
            + expect_that("the log is %r" % shown.stderr, "GATEWAY: there is no NAT" in shown.stderr))


def json_for_programs():
    with Server() as server:
        done = natprobe("-s", server.name, "-b", "127.0.0.1", "--json")
    problems = expect_verdict(done, "open-internet")
    result, _ = parse(done)
    if result is None:
        return problems
    return (problems + expect("mapping", result["mapping"], "none") + expect("filtering", result["filtering"], "endpoint-independent")
            + expect("external_ip", result["external_ip"], "127.0.0.1") + expect("local_ip", result["local_ip"], "127.0.0.1")
            + expect("ports", result["external_port"], result["local_port"]) + expect("server", result["server"], server.name)
            + expect_that("rtt_ms is no time", 0 < result["rtt_ms"] <= result["elapsed_ms"])
            + expect_that("no packets", result["packets_sent"] > 0 and result["packets_received"] > 0)
            + expect_that("evidence is %r" % result["evidence"], "answered" in result["evidence"])
            + expect_that("unnamed evidence", "unknown" not in result["evidence"]) + expect("stderr", done.stderr, ""))


def what_is_seen_beside_the_verdict():
    with Server() as server:
        kept = json.loads(natprobe("-s", server.name, "-b", "127.0.0.1", "--json").stdout)
        plain = natprobe("-s", server.name).stdout
    with Server(MAPPING_BY_ENDPOINT) as server:
        changed = json.loads(natprobe("-s", server.name, "--json").stdout)
        report = " ".join(natprobe("-s", server.name).stdout.split())
    return (expect_that("%d ports" % kept["ports_seen"], kept["ports_seen"] >= 2) + expect("kept", kept["ports_kept"], kept["ports_seen"])
            + expect("step", kept["port_step"], None) + expect("external addresses", kept["external_ips"], 1)
            + expect("local addresses", kept["local_ips"], 1) + expect("class", kept["local_class"], "loopback")
            + expect_that("ports where they are not the cause: %r" % plain, "Ports" not in plain)
            + expect_that("%d ports" % changed["ports_seen"], changed["ports_seen"] >= 2) + expect("kept", changed["ports_kept"], 0)
            + expect_that("no advice in %r" % report, " kept" in report and "a rule that keeps them (static port)" in report))


def verdicts():
    problems = []
    for options, nat_type in (([CHANGE_IGNORE], "no-nat"), ([CHANGE_REJECT], "no-nat"), ([MAPPING_SHIFTED], "full-cone"),
                              ([MAPPING_SHIFTED, CHANGE_IGNORE], "cone"), ([MAPPING_BY_ENDPOINT], "symmetric")):
        with Server(*options) as server:
            problems += expect_verdict(natprobe("-s", server.name, "-j"), nat_type)
    return problems


def quiet_prints_the_short_name_only():
    with Server() as server:
        done = natprobe("-q", "-s", server.name)
    return expect("stdout", done.stdout, "open-internet\n") + expect("stderr", done.stderr, "")


def verbose_shows_the_tests_on_stderr():
    with Server() as server:
        done = natprobe("-v", "-j", "-s", server.name)
    shown = [line.split()[1].rstrip(":") for line in done.stderr.splitlines() if line.startswith("evidence ")]
    return (expect_verdict(done, "open-internet") + expect_that("few lines on stderr", done.stderr.count("\n") > 5)
            + expect("the evidence shown", shown, json.loads(done.stdout)["evidence"]))


def mapping_only():
    with Server() as server:
        return expect_verdict(natprobe("-m", "-j", "-s", server.name), "no-nat")


def outlook_of_two_profiles():
    problems = []
    for ours, theirs, outlook, status in ((CONE, OPEN, "direct", 0), (CONE, CONE.replace(".7:", ".8:"), "punch", 0),
                                          (CONE, SYMMETRIC, "needs-prediction", 3), (SYMMETRIC, SYMMETRIC.replace(".2:", ".3:"), "relay", 3),
                                          (CONE, CONE, "same-nat", 4), (CONE, WITHOUT_ADDRESS, "unknown", 4)):
        for done, name in ((natprobe("--outlook", ours, theirs, "-q"), outlook), (natprobe("--outlook", theirs, ours, "-q"), outlook)):
            problems += expect("stdout", done.stdout, name + "\n") + expect("exit status of " + name, done.returncode, status)
            problems += expect("stderr", done.stderr, "")
    return problems


def outlook_as_json():
    done = natprobe("-j", "--outlook", CONE, OPEN)
    seen = json.loads(done.stdout)
    return (expect("members", list(seen), ["outlook", "best", "worst", "first", "assumes", "rule", "advice"])
            + expect("outlook", seen["outlook"], "direct") + expect("best", seen["best"], "direct")
            + expect("worst", seen["worst"], "direct") + expect("first", seen["first"], "ours")
            + expect("assumes", seen["assumes"], ["fresh"]) + expect("rule", seen["rule"], "one-open"))


def outlook_for_people():
    known = natprobe("--outlook", CONE, OPEN).stdout
    unknown = natprobe("--outlook", CONE, WITHOUT_ADDRESS).stdout
    return (expect_that("no outlook in %r" % known, "Outlook      direct\n" in known and "Our side sends first." in known)
            + expect_that("a range in %r" % known, "Range" not in known)
            + expect_that("no range in %r" % unknown, "direct at best, relay at worst" in unknown)
            + ["a line of %d characters" % len(line) for line in (known + unknown).splitlines() if len(line) > 80])


def unreadable_profile_says_why():
    done = natprobe("--outlook", CONE, "np1 m=ei m=ei")
    return expect("exit status", done.returncode, 2) + expect_that("no reason in %r" % done.stderr, "A key stands twice" in done.stderr)


def profile_of_this_host():
    with Server() as server:
        done = natprobe("-s", server.name, "--profile")
        hidden = natprobe("-s", server.name, "--profile", "--no-address")
        blocked = natprobe("-s", "127.0.0.1:9", "-t", "1", "--response-timeout", "0.2", "--profile")
    entries = done.stdout.split()
    return (expect("exit status", done.returncode, 0) + expect("lines", done.stdout.count("\n"), 1) + expect("stderr", done.stderr, "")
            + expect("begin", entries[:5], ["np1", "m=none", "f=ei", "fp=1", "v=4"])
            + expect_that("no address in %r" % done.stdout, entries[5].startswith("x=127.0.0.1:"))
            + expect_that("no time in %r" % done.stdout, entries[-1].startswith("t="))
            + expect_that("an address in %r" % hidden.stdout, "x=" not in hidden.stdout and "m=none f=ei" in hidden.stdout)
            + expect("exit status", blocked.returncode, 1)
            + expect_that("not blocked: %r" % blocked.stdout, blocked.stdout == "" or " b=1" in blocked.stdout))


def peer_of_this_host():
    with Server() as server:
        shown = natprobe("-s", server.name, "--peer", SYMMETRIC)
        quiet = natprobe("-s", server.name, "-q", "--peer", WITHOUT_ADDRESS)
        done = natprobe("-s", server.name, "-j", "--peer", OPEN.replace("v=4 x=198.51.100.1:4000", "v=6"))
        failed = natprobe("-s", "127.0.0.1:9", "-t", "0.2", "-q", "--peer", OPEN)
    result, problems = parse(done)
    return (problems + expect("exit status", shown.returncode, 0) + expect_that("no type in %r" % shown.stdout, "Open Internet" in shown.stdout)
            + expect_that("no outlook in %r" % shown.stdout, "Outlook      direct\n" in shown.stdout and "Their side sends first." in shown.stdout)
            + expect("quiet", quiet.stdout, "unknown\n") + expect("exit status", quiet.returncode, 4)
            + expect("rule", result and result["rule"], "no-common-family") + expect("exit status", done.returncode, 3)
            + expect("exit status without a verdict", failed.returncode, 1))


def long_options():
    with Server() as server:
        done = natprobe("--server", "stun:" + server.name, "--bind=127.0.0.1", "--port", "0", "--timeout=9.5", "--json", "--mapping-only")
        quiet = natprobe("--quiet", "--server=" + server.name, "--verbose")
    return expect_verdict(done, "no-nat") + expect("stdout", quiet.stdout, "open-internet\n")


def source_port_twice_in_a_row():
    with Server("single=1") as taken:
        port = taken.name.split(":")[1]
    problems = []
    with Server() as server:
        for _ in range(2):
            done = natprobe("-s", server.name, "-b", "127.77.66.55", "-p", port, "-j")
            problems += expect_verdict(done, "open-internet") + expect("local_port", json.loads(done.stdout)["local_port"], int(port))
    return problems


def ipv6():
    with Server("ip=::1", "single=1") as server:
        done = natprobe("-6", "-j", "-s", server.name)
    return expect_verdict(done, "no-nat") + expect("external_ip", json.loads(done.stdout)["external_ip"], "::1")


def with_a_server(*arguments):
    """Runs with one server over IPv4: over IPv6 there is none."""
    with Server(MAPPING_SHIFTED) as server:
        return natprobe("-4", "-6", "-s", server.name, *arguments)


def one_of_both_families_is_missing():
    report, names, profiles, both = with_a_server(), with_a_server("-q"), with_a_server("--profile"), with_a_server("-j")
    found = json.loads(both.stdout)
    ipv4, ipv6 = report.stdout.split("\n\n")
    problems = []
    for done in report, names, profiles, both:
        problems += expect("exit status", done.returncode, 0)
        problems += expect_that("stderr %r" % done.stderr, done.stderr.startswith("natprobe: IPv6: cannot resolve"))
    return (problems + expect("the families", [one["family"] for one in found], ["ipv4", "ipv6"])
            + expect("the keys", [list(one) for one in found], [["family"] + KEYS] * 2)
            + expect("the statuses", [one["status"] for one in found], ["ok", "resolve"])
            + expect("the types", names.stdout, "full-cone\nunknown\n")
            + expect("profiles", [line.split()[0] for line in profiles.stdout.splitlines()], ["np1"])
            + expect_that("the report of IPv4 is %r" % ipv4, ipv4.startswith("IPv4\nNAT type     Full-cone NAT"))
            + expect_that("the report of IPv6 is %r" % ipv6, ipv6.startswith("IPv6\nNAT type     Unknown")))


def neither_of_both_families_has_a_verdict():
    done = natprobe("-4", "-6", "-q", "-s", "nowhere.test")
    return (expect("exit status", done.returncode, 1) + expect("stdout", done.stdout, "unknown\nunknown\n")
            + expect("stderr", [line[:16] for line in done.stderr.splitlines()], ["natprobe: IPv4: ", "natprobe: IPv6: "]))


def signal_while_both_families_wait():
    with Server(REPLY_NONE) as four, Server("ip=::1", "single=1", REPLY_NONE) as six:
        process = start("-4", "-6", "-q", "-t", "3600", "-s", four.name, "-s", six.name)
        four.wait_until_asked()
        six.wait_until_asked()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    return (expect("exit status", process.returncode, 1) + expect("stdout", out, "unknown\nunknown\n")
            + expect_that("stderr %r" % err, err.count("cancelled") == 2 or err.count("np_probe_cancel") == 2))


def both_families():
    with Server(MAPPING_SHIFTED) as four, Server("ip=::1", "single=1") as six:
        servers = ["-s", six.name, "-s", four.name]
        done, verbose = natprobe("-6", "-4", "-j", *servers), natprobe("-4", "-6", "-v", *servers)
        ipv4, ipv6 = json.loads(done.stdout)
    steps = [line for line in verbose.stderr.splitlines() if " ms  " in line]
    return (expect("exit status", done.returncode, 0) + expect("types", [ipv4["nat_type"], ipv6["nat_type"]], ["full-cone", "no-nat"])
            + expect("external addresses", [ipv4["external_ip"], ipv6["external_ip"]], ["127.0.0.1", "::1"])
            + expect_that("-v shows %r" % steps, {line[:6] for line in steps} == {"IPv4: ", "IPv6: "})
            + expect_that("a step over the other family: %r" % steps,
                          all(line.startswith("IPv6") == ("[::1]" in line) for line in steps if " from " in line or " to " in line))
            + signal_while_both_families_wait())


def programs_of_the_readme():
    """Built-in servers' names all lead to ours, by way of the shim."""
    problems = []
    for program in args.example:
        with Server("port=3478") as server:
            done = subprocess.run(shlex.split(os.environ.get("NATPROBE_WRAPPER", "")) + [program], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=PATIENCE,
                                  env=environment(NP_TEST_ADDRESS=server.name.split(":")[0]))
        name = os.path.basename(program)
        problems += expect("exit status of %s (%r)" % (name, done.stderr), done.returncode, 0)
        problems += expect_that("%s says %r" % (name, done.stdout), "127.0.0.1" in done.stdout or "mapping none" in done.stdout)
        without = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=environment())
        problems += expect("exit status of %s without servers" % name, without.returncode, 1)
        problems += expect_that("%s gives no reason" % name, "resolve" in without.stdout + without.stderr)
    return problems


# ---- Bad luck -------------------------------------------------------------------------------------------------------

def port_in_use():
    with Server("single=1") as taken:
        ip, port = taken.name.split(":")
        return expect_failure(natprobe("-j", "-b", ip, "-p", port, "-s", "127.0.0.1:9"), "address-in-use")


def address_not_on_this_host():
    return expect_failure(natprobe("-j", "-b", "192.0.2.1", "-s", "127.0.0.1:9"), "address-not-available")


def name_that_does_not_exist():
    done = natprobe("-j", "-s", "nowhere.test")
    return expect_failure(done, "resolve") + expect_that("which name?", "nowhere.test" in done.stderr)


def built_in_names_that_do_not_exist():
    return expect_failure(natprobe("-j"), "resolve")


def nobody_answers():
    with Server(REPLY_NONE) as server:
        return expect_failure(natprobe("-j", "-s", server.name), "no-response", "udp-blocked")


def garbage_answers():
    with Server(REPLY_TEXT) as server:
        return expect_failure(natprobe("-j", "-s", server.name), "bad-response")


def time_runs_out():
    with Server(REPLY_NONE) as server:
        done = natprobe("-j", "-t", "0.2", "-s", server.name)
    return expect_failure(done, "no-response") + expect("nat_type", json.loads(done.stdout)["nat_type"], "unknown")


def failure_for_people():
    done = natprobe("-s", "nowhere.test")
    quiet = natprobe("-q", "-s", "nowhere.test")
    return (expect("exit status", done.returncode, 1) + expect_that("no reason on stderr", "nowhere.test" in done.stderr)
            + expect("exit status", quiet.returncode, 1) + expect("stdout", quiet.stdout, "unknown\n"))


def own_network():
    """The command that starts another in a network namespace without any network, or None."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            if subprocess.run(prefix + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
                return prefix
        except OSError:
            return None
    return None


def no_network(prefix):
    return (expect_failure(natprobe("-j", "-s", "192.0.2.1", prefix=prefix), "network-unreachable")
            + expect_failure(natprobe("-j", "-s", "2001:db8::1", prefix=prefix), "network-unreachable"))


def in_network(prefix, name):
    """What a script finds that builds itself a network, or None where it cannot."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    done = subprocess.run(list(prefix) + [sys.executable, script, args.program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 77:
        return None
    return done.stdout.splitlines() + expect("stderr", done.stderr, "") + expect("exit status", done.returncode, 0)


def mapped_source():
    with Server() as server:
        ip, port = server.name.split(":")
        done = natprobe("-j", "-b", "::ffff:127.0.0.1", "-s", "[::ffff:%s]:%s" % (ip, port))
    return expect_verdict(done, "open-internet") + expect("local_ip", json.loads(done.stdout)["local_ip"], "127.0.0.1")


def few_descriptors():
    """From too few to enough: the limit is told, never anything else."""
    problems, outcomes = [], set()
    with Server() as server:
        for limit in range(4, 14):
            done = natprobe("-j", "-s", server.name, bare=True,
                            prefix=("sh", "-c", 'ulimit -n %d && exec "$@"' % limit, "sh"))
            if done.returncode == 127:  # too few for the loader
                continue
            result, wrong = parse(done)
            problems += wrong
            if result is None or result["nat_type"] == "open-internet":
                outcomes.add("whole")
                continue
            outcomes.add(result["status"])
            told = "Too many open files" in result["detail"] and "ulimit -n" in result["detail"]
            right = result["status"] == "system" or (result["nat_type"] == "no-nat" and "no second socket: " in result["detail"])
            problems += expect_that("limit %d: %s" % (limit, done.stdout + done.stderr), told and right)
    return problems + expect_that("only %s" % outcomes, {"system", "whole"} <= outcomes)


def bare_system():
    """No /etc, no /proc, no /dev: servers by number need none of them. But a leak checker needs /proc."""
    for folders in ("/etc /proc /dev", "/etc /dev"):
        script = 'for d in %s; do mount -t tmpfs none $d || exit 99; done; exec "$@"' % folders
        for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
            try:
                with Server() as server:
                    done = natprobe("-j", "-s", server.name, bare=True, prefix=prefix + ["sh", "-c", script, "sh"])
            except OSError:
                return None
            if "Sanitizer" in done.stderr:
                break
            if done.returncode == 0 or done.stdout:
                return expect_verdict(done, "open-internet")
    return None


def full_disk():
    with Server() as server, open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(command("-j", "-s", server.name), stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    return expect("exit status", done.returncode, 1) + expect_that("no reason on stderr", "natprobe: " in done.stderr)


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------

def interrupted(process, number):
    """Nothing else could end it within the hour that it was given."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return expect_failure(subprocess.CompletedProcess(process.args, process.returncode, out, err), "cancelled")


def start(*arguments, at_interrupt=signal.SIG_DFL, **more):
    """Whoever runs the tests in the background may have SIGINT ignored, which every process inherits."""
    return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=environment(**more), preexec_fn=lambda: signal.signal(signal.SIGINT, at_interrupt))


def signal_that_is_ignored():
    with Server(REPLY_NONE) as server:
        process = start("-j", "-t", "1", "-s", server.name, at_interrupt=signal.SIG_IGN)
        server.wait_until_asked()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        return expect_failure(subprocess.CompletedProcess(process.args, process.returncode, out, err), "no-response")


def first_line_of_a_watch(*options):
    """What a watch prints, which SIGUSR1 does not end, and SIGTERM does."""
    with Server() as server:
        process = start("--watch", "--interval", "0", "-s", server.name, *options)
        line = process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate(timeout=PATIENCE)
        return line, expect("exit status", process.returncode, 0) + expect("stdout", rest, "") + expect("stderr", err, "")


def watch_prints_a_line_for_each_change():
    line, problems = first_line_of_a_watch()
    words = ("  start  open-internet, mapping none, filtering endpoint-independent, external 127.0.0.1",
             "(changed: type, mapping, filtering, address)\n")
    problems += expect_that("the line is %r" % line, all(word in line for word in words) and line[10] == "T")
    name, more = first_line_of_a_watch("-q")
    problems += more + expect("the name", name, "open-internet\n")
    text, more = first_line_of_a_watch("-j")
    result = json.loads(text)
    return (problems + more + expect("keys", list(result), ["time", "reason", "changed", "checks", "filtering_age_ms"] + KEYS)
            + expect("reason", result["reason"], "start") + expect("checks", result["checks"], 1)
            + expect("changed", result["changed"], ["type", "mapping", "filtering", "address"])
            + expect("type", result["nat_type"], "open-internet"))


def watch_without_an_answer():
    with Server(REPLY_NONE) as server:
        process = start("--watch", "-t", "1", "--response-timeout", "0.3", "-s", server.name)
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        return expect_that("the line is %r" % line, "  start  udp-blocked, no server answered" in line) + expect("exit status", process.returncode, 1)


def watch_that_nobody_reads():
    with Server() as server, open("/dev/full", "w") as full:
        done = subprocess.run(command("--watch", "-s", server.name), stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=environment())
        return expect("exit status", done.returncode, 1) + expect_that("stderr is %r" % done.stderr, "cannot write" in done.stderr)


def in_file(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(content)
    return path


def servers_of_a_file():
    """-S takes a list as people write it, and of a long one a choice."""
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        dirty = in_file(folder, "dirty", b"\xef\xbb\xbf# servers\r\n\r\n  %s # good\r\n\t\n#" % server.name.encode())
        problems = expect_verdict(natprobe("-j", "-S", dirty), "open-internet")
        done = subprocess.run(command("-j", "-S", "-"), input=server.name + "\n", capture_output=True, text=True, timeout=PATIENCE, env=environment())
        problems += expect_verdict(done, "open-internet")
        many = in_file(folder, "many", b"".join(b"%s\n" % server.name.encode() for _ in range(1000)))
        problems += expect_verdict(natprobe("-j", "-s", server.name, "-S", many), "open-internet")
        for content, why in ((b"a b\n", "invalid server"), (b"x" * 5000, "is no server"), (b"# none\n", "has no servers"),
                             (server.name.encode() + b"\0\n", "invalid server")):
            done = natprobe("-S", in_file(folder, "bad", content))
            problems += expect("exit status", done.returncode, 2) + expect_that("stderr is %r" % done.stderr, why in done.stderr)
        return problems


def survey_behind_a_nat():
    with Server(MAPPING_SHIFTED) as server, tempfile.TemporaryDirectory() as folder:
        path = in_file(folder, "list", server.name.encode())
        problems = []
        for options in ([], ["--json"], ["-s", server.name]):
            done = natprobe("--survey", path, *options)
            problems += expect("exit status", done.returncode, 1) + expect("stdout", done.stdout, "")
            problems += expect_that("stderr is %r" % done.stderr, "this host is not proven open: it is behind a NAT" in done.stderr)
        return problems


def survey_of_a_long_and_dirty_list():
    """100,000 lines for one good server and a name; what was printed is taken back."""
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        good = server.name.encode()
        port = good.split(b":")[1]
        lines = [b"\xef\xbb\xbf# a list\r", b"", good + b"\r", b"turn:" + good, b"x" * 1000000, b"\0", b"0.0.0.0", b"a" * 300,
                 b"missing.test", b"[::ffff:%s]:%s" % tuple(good.split(b":"))]
        path = in_file(folder, "list", b"\n".join(lines + [good, b"# again", b"Missing.test:3478"] * 33333))
        done = natprobe("--survey", path, "--json", "-b", "127.0.0.1")
        problems = expect("exit status", done.returncode, 0) + expect("lines", done.stdout.count("\n"), 2)
        reports = {says["server"]: says for says in map(json.loads, done.stdout.splitlines())}
        report = reports.get(server.name, {})
        wanted = {"capable": True, "status": "ok", "change_both": "honoured", "change_port": "honoured", "alternate_alive": True,
                  "external_right": True, "external_stable": True, "classic": False, "same_as": None, "number": 1, "addresses": 1,
                  "address": server.name, "packets_sent": 12, "detail": ""}
        problems += [p for key, value in wanted.items() for p in expect(key, report.get(key), value)]
        problems += expect("the name", reports.get("missing.test:3478", {}).get("status"), "resolve")
        problems += expect_that("stderr is %r" % done.stderr[-300:], done.stderr.count("left out") == 5)
        # What is known is not asked again, and the plain list follows from it.
        earlier = in_file(folder, "earlier", done.stdout.encode() + b'{"server": "cut')
        again = natprobe("--survey", path, "--resume", earlier, "-b", "127.0.0.1")
        problems += expect("exit status", again.returncode, 0) + expect("the plain list", again.stdout, server.name + "\n")
        problems += expect_that("port %r" % port, port in again.stdout.encode())
        for content in (b"{}\n", b"stun.example.net\n", b'{"server": 1}\n', b'{"server": "a b", "status": "ok"}\n', b"x" * 10000 + b"\n"):
            done = natprobe("--survey", path, "--resume", in_file(folder, "other", content))
            problems += expect("exit status with %r" % content[:30], done.returncode, 2)
        return problems


def signal_while_waiting_for_an_answer(number):
    with Server(REPLY_NONE) as server:
        process = start("-j", "-t", "3600", "-s", server.name)
        server.wait_until_asked()
        return interrupted(process, number)


def signal_while_a_name_is_looked_up():
    with tempfile.TemporaryDirectory() as folder:
        hanging = os.path.join(folder, "hanging")
        process = start("-j", "-t", "3600", "-s", "slow.test", NP_TEST_HANGING=hanging)
        until = time.monotonic() + PATIENCE
        while not os.path.exists(hanging) and time.monotonic() < until:
            time.sleep(0.01)
        return interrupted(process, signal.SIGINT)


def main():
    global args
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("program")
    p.add_argument("server")
    p.add_argument("shim")
    p.add_argument("version")
    p.add_argument("example", nargs="*", help="the small programs of the README")
    args = p.parse_args()
    tap = common.Tap()
    for check in (help_and_version, usage_errors, report_for_people, json_for_programs, optional_tests, test_of_the_gateway, lifetime_of_an_open_host, lifetime_counts_on_a_terminal, what_is_seen_beside_the_verdict, verdicts, quiet_prints_the_short_name_only,
                  verbose_shows_the_tests_on_stderr, mapping_only, long_options, source_port_twice_in_a_row, programs_of_the_readme, port_in_use,
                  one_of_both_families_is_missing, neither_of_both_families_has_a_verdict, address_not_on_this_host, name_that_does_not_exist, built_in_names_that_do_not_exist, nobody_answers, garbage_answers, mapped_source, few_descriptors,
                  time_runs_out, failure_for_people, full_disk, signal_while_a_name_is_looked_up, outlook_of_two_profiles, outlook_as_json,
                  outlook_for_people, unreadable_profile_says_why, profile_of_this_host, peer_of_this_host,
                  watch_prints_a_line_for_each_change, watch_without_an_answer, watch_that_nobody_reads,
                  servers_of_a_file, survey_behind_a_nat, survey_of_a_long_and_dirty_list):
        tap.check(check.__name__, check())
    tap.check("SIGINT while waiting for an answer", signal_while_waiting_for_an_answer(signal.SIGINT))
    tap.check("SIGINT that is ignored", signal_that_is_ignored())
    tap.check("SIGTERM while waiting for an answer", signal_while_waiting_for_an_answer(signal.SIGTERM))
    prefix = own_network()
    if prefix:
        tap.check("no_network", no_network(prefix))
    else:
        tap.skip("no_network", "no network namespace is to be had")
    problems = bare_system()
    if problems is None:
        tap.skip("bare_system", "no mount namespace is to be had")
    else:
        tap.check("bare_system", problems)
    for name in "link_local", "interfaces", "few_ports":
        problems = in_network(prefix, name + ".py") if prefix else None
        if problems is None:
            tap.skip(name, "no network namespace with links or ports of its own is to be had")
        else:
            tap.check(name, problems)
    for check in ipv6, both_families:
        try:
            tap.check(check.__name__, check())
        except OSError as error:
            tap.skip(check.__name__, str(error))
    tap.finish()


main()
