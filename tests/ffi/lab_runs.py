# SPDX-License-Identifier: MIT
"""The part of tests/ffi/run that happens in the lab. Prints a line for each check, without numbers."""

import concurrent.futures
import json
import os
import sys
import threading
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
import lab
import languages
import verdict
import worlds

# The six types of the RFC 3489 tree, no answer at all, and IPv6.
WORLDS = ["open", "full-cone", "restricted-cone", "port-restricted", "symmetric", "firewall", "blocked", "port-restricted6"]
MODES = ["blocking", "async", "socket"]
FIRST_PORT = 24320
DEFAULT_STATUSES = ("resolve", "network-unreachable", "no-response", "timeout")
lock = threading.Lock()
failures = 0


def check(name, problems):
    global failures
    with lock:
        print("%s - %s" % ("not ok" if problems else "ok", name))
        for problem in problems:
            print("#   " + str(problem).replace("\n", "\n#   "))
        sys.stdout.flush()
        failures += bool(problems)


def servers_of(place):
    return (lab.COTURN6 if place.world.family == 6 else lab.COTURN)[:1]


def check_modes(place, language):
    for number, mode in enumerate(MODES):
        # A port for each: late answers to one run are none of the next one's datagrams. The system gives none of them to
        # a fresh socket: behind a NAT that keeps ports, what one run has contacted would be open to the next.
        port = FIRST_PORT + 10 * [kind.name for kind in languages.ALL].index(language.name) + number
        run = verdict.Run(place, [*language.driver, mode], servers_of(place), port=port)
        problems = run.form_problems() or run.wrong() + run.short_of("full")
        check("%s: %s, %s" % (language.name, mode, place.world.name), problems and problems + [run.summary(), run.err[-2000:]])


def check_example(place, name, command, servers, options=()):
    """An example says the type in the words of the library, and ends with 0 or 1 as there is a verdict or none."""
    servers = [verdict.endpoint(server) for server in servers]
    code, out, err = verdict.call(place, [*command, *servers, *options])
    nat_type = place.world.nat_type
    problems = []
    if code != (1 if place.world.is_blocked else 0):
        problems.append("exit status %s" % code)
    if not place.world.is_blocked and nat_type not in out and DISPLAY[nat_type] not in out:
        problems.append("%s is not in the output" % nat_type)
    if place.world.is_blocked and "answer" not in out + err:
        problems.append("it does not say that no server answered")
    check("%s, %s" % (name, place.world.name), problems and problems + [out[-1500:], err[-1500:]])


DISPLAY = {
    "open-internet": "Open Internet (No NAT)",
    "full-cone": "Full-cone NAT",
    "restricted-cone": "Restricted-cone NAT",
    "port-restricted-cone": "Port Restricted-cone NAT",
    "symmetric": "Symmetric NAT",
    "symmetric-udp-firewall": "Symmetric UDP Firewall NAT",
}


def check_place(world, wire, chosen):
    with lab.Place(world, worlds.WORLDS.index(world), wire) as place, place.wired(rtt_ms=20):
        for language in chosen:
            if language.driver is not None:
                check_modes(place, language)
            if world.family == 4:
                for name, command in language.examples:
                    check_example(place, "%s: example %s" % (language.name, name), command, servers_of(place))


def call(place, language, mode, *arguments):
    return verdict.call(place, [*language.driver, mode, "-p", str(verdict.SOURCE_PORT), *arguments])


def check_failures(world, wire, chosen):
    """Cancelling, bad input, and the defaults where no name can be resolved: behind a router that lets nothing through."""
    with lab.Place(world, len(worlds.WORLDS) + 1, wire) as place, place.wired(rtt_ms=20):
        for language in chosen:
            if language.driver is None:
                continue
            run = verdict.Run(place, [*language.driver, "cancel"], servers_of(place))
            # The kernel has counted more than one run.
            problems = [problem for problem in run.form_problems() if "the kernel saw" not in problem]
            if run.status != "cancelled":
                problems.append("status is %s" % run.status)
            check("%s: cancel" % language.name, problems and problems + [run.err[-2000:]])

            code, out, err = call(place, language, "bad-input")
            good = code == 0 and "checks passed" in out
            check("%s: bad input" % language.name, [] if good else ["exit status %s" % code, out[-2000:], err[-2000:]])

            code, out, err = call(place, language, "default")
            try:
                status = json.loads(out)["status"]
            except (ValueError, KeyError):
                status = None
            good = code == 1 and status in DEFAULT_STATUSES and err.strip()
            check("%s: defaults" % language.name, [] if good else ["exit status %s" % code, out[-2000:], err[-2000:]])


def run_all(chosen):
    lab.hide_name_servers()
    wire = lab.wire_program(None)
    by_name = {world.name: world for world in worlds.WORLDS}
    with lab.Internet() as internet:
        internet.start_coturn()
        internet.wait_until_ready()
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            jobs = [threads.submit(check_failures, by_name["blocked"], wire, chosen)]
            jobs += [threads.submit(check_place, by_name[name], wire, chosen) for name in WORLDS]
            for job in concurrent.futures.as_completed(jobs):
                if job.exception():
                    check("the lab itself", traceback.format_exception(job.exception()))


def main():
    lab.enter(tap=True)
    chosen = [language(sys.argv[1]) for language in languages.ALL if language.name in sys.argv[2:]]
    try:
        run_all(chosen)
    except Exception:
        check("the lab itself", traceback.format_exc().splitlines())
    sys.exit(1 if failures else 0)


main()
