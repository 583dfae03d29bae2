# SPDX-License-Identifier: MIT
"""Runs natprobe in a world and holds what it says against what is true there."""

import ipaddress
import json
import re
import signal
import subprocess

import lab
import odd_server
import stun
import worlds

SOURCE_PORT = 54320
FIELDS = {
    "status",
    "nat_type",
    "mapping",
    "filtering",
    "external_ip",
    "external_port",
    "local_ip",
    "local_port",
    "server",
    "rtt_ms",
    "elapsed_ms",
    "packets_sent",
    "packets_received",
    "ports_kept",
    "ports_seen",
    "port_step",
    "external_ips",
    "local_ips",
    "local_class",
    "evidence",
    "detail",
}
GIVE_UP_SECONDS = 60  # natprobe's own deadline is 10; this only keeps a hang from stopping the lab


CLASSES = {
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmark",
    "fc00::/7": "unique-local",
}


def address_class(ip):
    address = ipaddress.ip_address(ip)
    return next((name for network, name in CLASSES.items() if address in ipaddress.ip_network(network)), "global")


def endpoint(ip, port=stun.PORT):
    return ("[%s]:%d" if ":" in ip else "%s:%d") % (ip, port)


class Run:
    """One run of natprobe: what it printed, and what the kernel counted meanwhile."""

    def __init__(self, place, program, servers, options=(), port=SOURCE_PORT):
        command = [*program, "--json", "-p", str(port)]
        for server in servers:
            command += ["-s", endpoint(server)]
        command += ["-6"] if place.world.family == 6 else []
        before = place.counters()
        self.command = command + list(options)
        self.place = place
        self.servers = servers
        self.port = port
        self.code, self.out, self.err = call(place, self.command)
        self.sent = {name: count - before[name] for name, count in place.counters().items()}
        try:
            self.says = json.loads(self.out)
        except ValueError:
            self.says = {}

    def __getattr__(self, name):
        return self.says.get(name)

    def form_problems(self):
        """What is wrong with the output whatever it says."""
        if self.code == -signal.SIGKILL:
            return ["hung: ended after %d s" % GIVE_UP_SECONDS]
        if FIELDS - set(self.says):
            return [
                "exit status %s, fields missing: %s; stdout: %r; stderr: %r"
                % (self.code, " ".join(sorted(FIELDS - set(self.says))), self.out[:300], self.err[:300])
            ]
        found = []
        if self.code != (0 if self.status == "ok" else 1):
            found.append("exit status %s with status %s" % (self.code, self.status))
        if self.status != "ok" and not self.err.strip():
            found.append("no verdict, and no reason on stderr")
        if self.packets_sent != self.sent["sent"]:
            found.append("packets_sent is %s; the kernel saw %d leave" % (self.packets_sent, self.sent["sent"]))
        if self.local_port != self.port:
            found.append("local_port is %s" % self.local_port)
        return found + self.address_problems() + self.count_problems()

    def address_problems(self):
        """What is wrong with the addresses reported; an external address is owed as soon as anything usable came."""
        found = []
        place = self.place
        if self.local_ip not in (place.local, None) or (self.status == "ok" and self.local_ip is None):
            found.append("local_ip is %s, should be %s" % (self.local_ip, place.local))
        if self.external_ip is None:
            return found + (["no external_ip"] if self.status == "ok" else [])
        if self.external_ip != place.external:
            found.append("external_ip is %s, should be %s" % (self.external_ip, place.external))
        ports = {self.local_port} if place.world.port_kept else ports_of_flows(place, self.local_port)
        if ports is not None and self.external_port not in ports:
            found.append(
                "external_port is %s, should be %s" % (self.external_port, " or ".join(map(str, sorted(ports))))
            )
        return found

    def count_problems(self):
        """What is wrong with the counts around the verdict."""
        found = []
        kept, seen = self.ports_kept, self.ports_seen
        if self.external_ip is not None and (self.external_ips, self.local_ips) != (1, 1):
            found.append("%s external and %s local addresses" % (self.external_ips, self.local_ips))
        if self.external_ip is not None and (seen == 0 or (kept == seen) != self.place.world.port_kept):
            found.append("%s of %s ports kept" % (kept, seen))
        if self.port_step is not None:
            found.append("port_step is %s: nothing here counts ports" % self.port_step)
        if self.local_ip is not None and self.local_class != address_class(self.local_ip):
            found.append("local_class is %s of %s" % (self.local_class, self.local_ip))
        return found

    def wrong(self):
        """What is untrue in the verdict. Unknown is never untrue."""
        world = self.place.world
        types = {world.nat_type, worlds.UNKNOWN}
        types |= {"cone"} if world.mapping == worlds.ENDPOINT_INDEPENDENT else set()
        types |= {"no-nat"} if world.mapping == worlds.NONE else set()
        found = [] if self.nat_type in types else ["nat_type is %s, should be %s" % (self.nat_type, world.nat_type)]
        for name in ("mapping", "filtering"):
            said, true = self.says.get(name), getattr(world, name)
            dependent = true in (worlds.ADDRESS, worlds.ADDRESS_AND_PORT)
            if said not in {true, worlds.UNKNOWN} | ({worlds.DEPENDENT} if dependent else set()):
                found.append("%s is %s, should be %s" % (name, said, true))
        return found

    def short_of(self, knowledge):
        """What is missing from the verdict that servers which tell this much allow for."""
        if knowledge == odd_server.NOTHING:
            return [] if self.status == "bad-response" else ["status is %s, should be bad-response" % self.status]
        status, nat_type, mapping, filtering = self.place.world.expected(knowledge)
        strength = {worlds.UNKNOWN: 0, "no-nat": 1, "cone": 1, worlds.DEPENDENT: 1}
        found = [] if self.status in (status, "ok") else ["status is %s, should be %s" % (self.status, status)]
        for name, wanted in (("nat_type", nat_type), ("mapping", mapping), ("filtering", filtering)):
            said = self.says.get(name)
            if strength.get(said, 2) < strength.get(wanted, 2):
                found.append("%s is only %s, should be %s" % (name, said, wanted))
        if knowledge != odd_server.FULL and status == "inconclusive" and self.external_ip is None:
            found.append("inconclusive without the external address")
        return found

    def guessed(self, knowledge):
        """What the verdict says that these servers cannot have told."""
        if knowledge == odd_server.FULL or self.filtering == worlds.UNKNOWN:
            return []
        return ["filtering is %s: nobody can have told" % self.filtering]

    def summary(self):
        return (
            "%s %s, mapping %s, filtering %s, external %s:%s, local %s:%s, %s ms at %s ms round trip, %s packets,"
            " %s; %s"
            % (
                self.status,
                self.nat_type,
                self.mapping,
                self.filtering,
                self.external_ip,
                self.external_port,
                self.local_ip,
                self.local_port,
                self.elapsed_ms,
                self.rtt_ms,
                self.packets_sent,
                " ".join(self.evidence or []),
                self.detail,
            )
        )


def call(place, command):
    """(exit status, stdout, stderr) of a command run by the client."""
    process = lab.inside(
        place.client,
        subprocess.Popen,
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=GIVE_UP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out, err


def ports_of_flows(place, local_port):
    """The external ports that connection tracking holds for a local one; None where the kernel does not show them."""

    def read():
        with open("/proc/thread-self/net/nf_conntrack") as file:
            return file.read()

    try:
        table = lab.inside(place.router, read)
    except FileNotFoundError:
        return None
    pattern = r"udp .*?sport=%d dport=.* dst=%s sport=\d+ dport=(\d+)" % (local_port, re.escape(place.public))
    return {int(port) for port in re.findall(pattern, table)}
