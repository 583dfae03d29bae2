# SPDX-License-Identifier: MIT
"""Other programs that tell the NAT type: how to install them, run them and read what they say."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

# What a program says of mapping and filtering, as the RFC 3489 type that follows. Unknown filtering leaves "cone".
EIM, DEPENDENT_MAPPING, NO_NAT = "endpoint-independent", "dependent", "none"
EIF, ADF, APDF = "endpoint-independent", "address-dependent", "address-and-port-dependent"
NO_ANSWER = "no answer"

PROXYSTORE_OLD = """
import sys, proxystore.p2p.nat as nat
nat._STUN_SERVERS = [host + ":3478" for host in sys.argv[2:]]
print("NAT Type:", nat.check_nat(source_port=int(sys.argv[1])).nat_type.value)
"""
PROXYSTORE_NEW = """
import asyncio, sys, proxystore.p2p.nat as nat
nat._STUN_SERVERS = tuple((host, 3478) for host in sys.argv[2:])
print("Mapping:", asyncio.run(nat.check_nat(source_port=int(sys.argv[1]))).mapping.value)
"""
PYTHON_PACKAGES = {
    "pystun3": ["pystun3==2.0.0"],
    "proxystore-0.8": ["proxystore==0.8.3", "pystun3==2.0.0"],
    "proxystore-1.1": ["proxystore==1.1.0"],
}
GO_MODULES = {
    "go-stun": "github.com/ccding/go-stun@latest",
    "stun-nat-behaviour": "github.com/pion/stun/v3/cmd/stun-nat-behaviour@v3.1.7",
}
DEBIAN_PACKAGES = {
    "stun": "stun-client",
    "turnutils_natdiscovery": "coturn",
    "turnserver": "coturn",
    "stund": "stun-server",
    "nft": "nftables",
    "ip": "iproute2",
    "cc": "gcc",
    "go": "golang-go",
}


def derive(mapping, filtering):
    """The type that follows from the two behaviours, None for one that was not told."""
    if mapping is None:
        return NO_ANSWER
    if mapping == DEPENDENT_MAPPING:
        return "symmetric"
    if mapping == NO_NAT:
        return {None: "no-nat", EIF: "open-internet"}.get(filtering, "symmetric-udp-firewall")
    return {None: "cone", EIF: "full-cone", ADF: "restricted-cone", APDF: "port-restricted-cone"}[filtering]


def find(table, text):
    """The first entry whose key, a regular expression, is found in the text."""
    return next((value for key, value in table.items() if re.search(key, text, re.IGNORECASE)), None)


def read_natprobe(out):
    try:
        said = json.loads(out)["nat_type"]
    except (ValueError, KeyError):
        return NO_ANSWER
    return NO_ANSWER if said == "unknown" else said


def read_pystun(out):
    return (
        find(
            {
                "type: open internet|type: the open": "open-internet",
                "type: full.cone": "full-cone",
                "type: port restrict|type: restrict port|type: restric port": "port-restricted-cone",
                "type: restrict|type: restric": "restricted-cone",
                "type: symmetric udp": "symmetric-udp-firewall",
                "type: symmetric nat": "symmetric",
                "type: blocked": "udp-blocked",
            },
            out,
        )
        or NO_ANSWER
    )


def read_proxystore_new(out):
    mapping = find(
        {
            "mapping: no nat": NO_NAT,
            "mapping: endpoint-independent": EIM,
            "mapping: address-dependent": DEPENDENT_MAPPING,
        },
        out,
    )
    return derive(mapping, None)


def read_stund(out):
    return (
        find(
            {
                "independent mapping, independent": "full-cone",
                "independent mapping, address": "restricted-cone",
                "independent mapping, port": "port-restricted-cone",
                r"primary: dependent mapping": "symmetric",
                "primary: open": "open-internet",
                "primary: firewall": "symmetric-udp-firewall",
                "primary: blocked": "udp-blocked",
            },
            out,
        )
        or NO_ANSWER
    )


def read_coturn(out):
    mapping = find(
        {"no nat!": NO_NAT, "endpoint independent mapping": EIM, "dependent mapping": DEPENDENT_MAPPING}, out
    )
    filtering = find(
        {
            "endpoint independent filtering": EIF,
            "address and port dependent filtering": APDF,
            "address dependent filtering": ADF,
        },
        out,
    )
    return derive(mapping, filtering)


def read_go_stun(out):
    return (
        find(
            {
                "type: not behind": "open-internet",
                "type: full cone": "full-cone",
                "type: restricted": "restricted-cone",
                "type: port restricted": "port-restricted-cone",
                "type: symmetric udp": "symmetric-udp-firewall",
                "type: symmetric nat": "symmetric",
                "type: udp is blocked": "udp-blocked",
            },
            out,
        )
        or NO_ANSWER
    )


def read_pion(out):
    mapping = find(
        {
            r"mapping behavior: .*no nat": NO_NAT,
            r"mapping behavior: endpoint independent": EIM,
            r"mapping behavior: address": DEPENDENT_MAPPING,
        },
        out,
    )
    filtering = find(
        {
            r"filtering behavior: endpoint independent": EIF,
            r"filtering behavior: address and port": APDF,
            r"filtering behavior: address dependent": ADF,
        },
        out,
    )
    return derive(mapping, filtering)


class Tool:
    """A program: its command line for some servers (IP addresses, port 3478) and a source port, and what it said."""

    def __init__(self, name, command, read):
        self.name = name
        self.command = command
        self.read = read


def tools(natprobe, folder):
    """[Tool] that are there, natprobe first, and {name: what is missing} of the others."""

    def python(package):
        return os.path.join(folder, package, "bin", "python")

    def go(name):
        return os.path.join(folder, "go", name)

    found = [
        Tool(
            "natprobe",
            lambda servers, port: [natprobe, "--json", "-p", str(port), *sum((["-s", s] for s in servers), [])],
            read_natprobe,
        ),
        Tool(
            "pystun3 2.0.0",
            lambda servers, port: [
                os.path.join(folder, "pystun3", "bin", "pystun3"),
                "-H",
                servers[0],
                "-p",
                str(port),
            ],
            read_pystun,
        ),
        Tool(
            "proxystore 0.8.3",
            lambda servers, port: [python("proxystore-0.8"), "-c", PROXYSTORE_OLD, str(port), servers[0]],
            read_pystun,
        ),
        Tool(
            "proxystore 1.1.0",
            lambda servers, port: [python("proxystore-1.1"), "-c", PROXYSTORE_NEW, str(port), *servers],
            read_proxystore_new,
        ),
        Tool(
            "stun (stund 0.97)",
            lambda servers, port: [shutil.which("stun") or "stun", servers[0], "-p", str(port)],
            read_stund,
        ),
        Tool(
            "turnutils_natdiscovery",
            lambda servers, port: [
                shutil.which("turnutils_natdiscovery") or "turnutils_natdiscovery",
                "-m",
                "-f",
                servers[0],
            ],
            read_coturn,
        ),
        Tool(
            "go-stun", lambda servers, port: [go("go-stun"), "-s", servers[0] + ":3478", "-p", str(port)], read_go_stun
        ),
        Tool(
            "stun-nat-behaviour",
            lambda servers, port: [go("stun-nat-behaviour"), "-server", servers[0] + ":3478"],
            read_pion,
        ),
    ]
    missing = [tool for tool in found if not os.access(tool.command(["-"], 0)[0], os.X_OK)]
    return [tool for tool in found if tool not in missing], [tool.name for tool in missing]


# ---- Installing ---------------------------------------------------------------------------------------------------


def attempt(command, **options):
    """Runs an installer; a failure is shown and leaves that one program out of the comparison."""
    print("+ " + " ".join(command), file=sys.stderr)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        print(
            "  failed: " + (done.stderr.strip().splitlines() or ["exit status %d" % done.returncode])[-1],
            file=sys.stderr,
        )
    return done.returncode == 0


def install(folder):
    """Everything that is not there yet, the peers into a folder of their own."""
    os.environ["PATH"] += os.pathsep + os.pathsep.join(["/usr/sbin", "/sbin", "/usr/local/go/bin"])
    packages = sorted(
        {package for program, package in DEBIAN_PACKAGES.items() if not shutil.which(program)}
        | (set() if importlib.util.find_spec("ensurepip") else {"python3-venv"})
    )
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        attempt(["apt-get", "update", "-q"])
        attempt(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages],
            env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"),
        )
    elif packages:
        print("not installed, and not installable from here: " + " ".join(packages), file=sys.stderr)
    os.makedirs(folder, exist_ok=True)
    for name, requirements in PYTHON_PACKAGES.items():
        environment = os.path.join(folder, name)
        if (
            not os.path.exists(os.path.join(environment, "installed"))
            and attempt([sys.executable, "-m", "venv", environment])
            and attempt([os.path.join(environment, "bin", "pip"), "install", "-q", "--no-deps", *requirements])
        ):
            open(os.path.join(environment, "installed"), "w").close()
    for name, module in GO_MODULES.items():
        if not os.access(os.path.join(folder, "go", name), os.X_OK) and shutil.which("go"):
            attempt(["go", "install", module], env=dict(os.environ, GOBIN=os.path.join(folder, "go")))
