# SPDX-License-Identifier: MIT
"""
The lab: clients behind the Linux kernel's own NAT, servers, and a wire of known delay and loss between them.

    client --- router [--- router] ---wire--- internet (all servers)
      eth0     lan wan                 a b     world<N>, server addresses on lo

Every world is a chain of network namespaces of its own; all of them end in one namespace, the internet. The whole lab
lives in namespaces that it makes for itself (user, mount, process, network), so that it needs no right but that to make
them, touches nothing outside, can run any number of times at once, and is removed by the kernel however it ends.
Addresses are from the documentation ranges of RFC 5737 and RFC 3849, private ones inside.
"""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import odd_server
import stun

HERE = os.path.dirname(os.path.abspath(__file__))
INSIDE = (
    "NATPROBE_LAB_LIFELINE"  # set within the lab's namespaces: the descriptor that ends when the outer process does
)
FOLDER = "/run/lab"
SKIP = 77
CLONE_NEWNET = 0x40000000
PROGRAMS = ["unshare", "mount", "ip", "nft", "turnserver"]
START_SECONDS = 20  # for a server to come up on a busy machine; none of it is waited for in vain

libc = ctypes.CDLL(None, use_errno=True)


# ---- Getting in ---------------------------------------------------------------------------------------------------


def must_run():
    return os.environ.get("CI") == "true" or os.environ.get("NATPROBE_LAB") == "required"


def cannot(reason, tap):
    """Ends a lab that cannot be: skipped, or a failure where it must run."""
    if tap:
        print("Bail out! the lab cannot run: " + reason if must_run() else "1..0 # SKIP the lab cannot run: " + reason)
    else:
        print("the lab cannot run: " + reason, file=sys.stderr)
    sys.exit(1 if must_run() else 0 if tap else SKIP)


def ways_in():
    """Command prefixes that might give a process its own namespaces, the least privileged first."""
    base = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    user = ["--user", "--map-root-user"]
    rights = [user, []] if os.geteuid() == 0 else [user]
    return [base + right + proc for right in rights for proc in (["--mount-proc"], [])]


def try_out(paths):
    """Run inside: does what a lab needs and fails where that is not allowed."""
    mount_run()
    for command in ("ip netns add try", "ip link add lan netns try type veth peer name wan netns try"):
        subprocess.run(command.split(), check=True)
    rules = "table inet try { chain out { type nat hook postrouting priority srcnat; masquerade; }; }"
    inside("try", subprocess.run, ["nft", "-f", "-"], input=rules, text=True, check=True)
    for family in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        inside("try", write, "/proc/sys/net/" + family, "1")
    inside("try", socket.socket, socket.AF_PACKET, socket.SOCK_RAW).close()
    for path in paths:
        if not os.access(path, os.R_OK):
            raise PermissionError("cannot read %s" % path)


def find_way_in(paths):
    problem = ""
    for way in ways_in():
        program = "import sys; sys.path.insert(0, %r); import lab; lab.try_out(sys.argv[1:])" % HERE
        done = subprocess.run(
            way + [sys.executable, "-B", "-c", program, *paths],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        if done.returncode == 0:
            return way, ""
        problem = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "exit status %d" % done.returncode
    return None, "no namespaces of our own, neither as root nor through a user namespace (%s)" % problem


def enter(programs=(), paths=(), tap=False):
    """
    Called first by every program of the lab. Returns in a process that is alone in namespaces of its own; the process
    that called it waits for that one, and neither outlives the other.
    """
    os.environ["PATH"] += os.pathsep + os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])
    if INSIDE in os.environ:
        hang_on(int(os.environ.pop(INSIDE)))
        mount_run()
        os.makedirs(FOLDER)
        return
    for path in paths:
        if not os.access(path, os.X_OK):
            sys.exit("no such program: " + path)
    missing = [program for program in [*PROGRAMS, *programs] if not shutil.which(program)]
    if missing:
        cannot("not installed: " + ", ".join(missing), tap)
    way, problem = find_way_in(paths)
    if way is None:
        cannot(problem, tap)
    sys.stdout.flush()
    sys.exit(supervise(way))


def supervise(way):
    read_end, write_end = os.pipe()
    environment = dict(os.environ, **{INSIDE: str(read_end), "PYTHONDONTWRITEBYTECODE": "1"})
    child = subprocess.Popen(
        way + [sys.executable, *sys.argv], pass_fds=[read_end], env=environment, start_new_session=True
    )
    os.close(read_end)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: child.kill())
    status = child.wait()
    os.close(write_end)
    return status if status >= 0 else 128 - status


def hang_on(lifeline):
    """Ends this process, and with it the namespaces, when the outer process is gone, however that happened."""
    os.set_inheritable(lifeline, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait():
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def mount_run():
    subprocess.run(["mount", "-t", "tmpfs", "lab", "/run"], check=True)


def hide_name_servers():
    """In this mount namespace alone: names are looked up at 127.0.0.1. If nobody is there, a look-up fails at once."""
    path = os.path.join(FOLDER, "resolv.conf")
    write(path, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if os.path.exists("/etc/resolv.conf"):
        output(["mount", "--bind", path, os.path.realpath("/etc/resolv.conf")])


# ---- Working in namespaces ----------------------------------------------------------------------------------------


def inside(namespace, function, *args, **options):
    """
    Calls a function in a thread that has entered a network namespace. Sockets and processes made there stay there.
    """

    def enter_and_call():
        with open("/run/netns/" + namespace) as handle:
            if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns " + namespace)
        return function(*args, **options)

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_call).result()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def output(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stdout))
    return done.stdout


def ip(*lines, namespace=None):
    output(["ip", *(["-n", namespace] if namespace else []), "-batch", "-"], input="\n".join(lines) + "\n")


def nft(namespace, rules):
    return inside(namespace, output, ["nft", "-f", "-"], input=rules)


def add_namespace(name, forwards=False):
    """A namespace with quiet, fixed settings: the kernel copies some of them from the machine's."""
    ip("netns add " + name)
    settings = {
        "ipv4/ip_forward": int(forwards),
        "ipv6/conf/all/forwarding": int(forwards),
        "ipv4/conf/all/rp_filter": 0,
        "ipv4/conf/default/rp_filter": 0,
        "ipv6/conf/all/accept_ra": 0,
        "ipv6/conf/default/accept_ra": 0,
        "ipv6/conf/default/addr_gen_mode": 1,  # no link-local addresses, hence no chatter
        "ipv6/conf/default/disable_ipv6": 0,
        "ipv6/conf/all/disable_ipv6": 0,
        "ipv4/icmp_ratelimit": 0,
    }
    for path, value in settings.items():
        inside(name, write, "/proc/sys/net/" + path, str(value))
    ip("link set dev lo up", namespace=name)


class End:
    """One end of a link: an interface in a namespace with its addresses."""

    def __init__(self, namespace, interface, addresses=()):
        self.namespace = namespace
        self.interface = interface
        self.addresses = list(addresses)  # with prefix length

    def ips(self):
        return [address.split("/")[0] for address in self.addresses]


def mac(namespace):
    with open("/run/netns/" + namespace) as handle:
        number = os.fstat(handle.fileno()).st_ino & 0xFFFFFFFF
    return "02:00:" + ":".join("%02x" % byte for byte in number.to_bytes(4, "big"))


def set_up_end(end, peer):
    """Addresses, and the peer's as permanent neighbours: nothing is to be resolved over a wire that delays."""
    lines = ["link set dev %s address %s" % (end.interface, mac(end.namespace)), "link set dev %s up" % end.interface]
    lines += ["addr add %s dev %s%s" % (a, end.interface, " nodad" if ":" in a else "") for a in end.addresses]
    lines += [
        "neigh replace %s lladdr %s dev %s nud permanent" % (a, mac(peer.namespace), end.interface) for a in peer.ips()
    ]
    ip(*lines, namespace=end.namespace)


def link(left, right, through=None):
    """Joins two ends, directly or through a namespace in which a wire joins interfaces a and b."""
    if through is None:
        ip(
            "link add %s netns %s type veth peer name %s netns %s"
            % (left.interface, left.namespace, right.interface, right.namespace)
        )
    else:
        for end, inner in ((left, "a"), (right, "b")):
            ip("link add %s netns %s type veth peer name %s netns %s" % (end.interface, end.namespace, inner, through))
            ip("link set dev %s up" % inner, namespace=through)
    set_up_end(left, right)
    set_up_end(right, left)


@contextlib.contextmanager
def running(namespace, command, log):
    """A server or wire as long as the block lasts."""
    with open(os.path.join(FOLDER, log), "wb") as file:
        process = inside(
            namespace, subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=FOLDER
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_log(log):
    with open(os.path.join(FOLDER, log), errors="replace") as file:
        return file.read()


# ---- The internet -------------------------------------------------------------------------------------------------

COTURN = ("203.0.113.1", "203.0.113.2")
COTURN6 = ("2001:db8:5::1", "2001:db8:5::2")
PLAIN = ("203.0.113.11", "203.0.113.21")  # two servers that have nothing to do with each other
PLAIN6 = ("2001:db8:5::11", "2001:db8:5::21")
STUND = ("203.0.113.31", "203.0.113.32")


def coturn_command(addresses, name, behaviour_discovery):
    """turnserver for STUN alone, with all its files in the lab's folder and RFC 5780 on or off in any version."""
    help_text = subprocess.run(
        ["turnserver", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
    command = [
        "turnserver",
        "-n",
        "--no-auth",
        "--stun-only",
        "--no-tcp",
        "--no-tls",
        "--no-dtls",
        "-m",
        "1",
        "--listening-port=%d" % stun.PORT,
        "--alt-listening-port=%d" % stun.ALTERNATE_PORT,
        "--log-file=stdout",
        "--simple-log",
        "--pidfile=%s/%s.pid" % (FOLDER, name),
        "--userdb=%s/%s.db" % (FOLDER, name),
    ]
    for address in addresses:
        command += ["-L", address]
    wanted = ["--no-cli"] + (["--rfc5780", "--rfc3489-compatibility"] if behaviour_discovery else ["--no-rfc5780"])
    return command + [option for option in wanted if (option + " ") in help_text or (option + "\t") in help_text]


class Internet:
    """The namespace with all servers."""

    NAME = "internet"

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.logs = {}
        self.odd_logs = 0

    def __enter__(self):
        add_namespace(self.NAME)
        servers = [*COTURN, *COTURN6, *PLAIN, *PLAIN6, *STUND]
        for name in odd_server.ALL:
            servers += odd_server.addresses(name)
        ip(*["addr add %s/%s dev lo" % (a, "128 nodad" if ":" in a else "32") for a in servers], namespace=self.NAME)
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def start(self, name, command, listens):
        """Starts a server and waits until it answers on each address of listens."""
        self.stack.enter_context(running(self.NAME, command, name + ".log"))
        self.logs[name] = listens

    def start_coturn(self):
        self.start("coturn", coturn_command(COTURN + COTURN6, "coturn", True), COTURN + COTURN6)

    def start_plain(self):
        for number, addresses in enumerate(zip(PLAIN, PLAIN6)):
            name = "coturn-plain-%d" % (number + 1)
            self.start(name, coturn_command(addresses, name, False), addresses)

    def start_stund(self):
        self.start(
            "stund",
            ["stund", "-h", STUND[0], "-a", STUND[1], "-p", str(stun.PORT), "-o", str(stun.ALTERNATE_PORT)],
            STUND,
        )

    def start_odd(self, names=()):
        """The servers of these behaviours, by default all but those that lie to a survey."""
        command = [sys.executable, os.path.join(HERE, "odd_server.py"), *names]
        self.start("odd", command, [odd_server.addresses("good")[0]])

    def wait_until_ready(self):
        for name, listens in self.logs.items():
            for address in listens:
                if not self.answers(address, time.monotonic() + START_SECONDS):
                    raise RuntimeError("%s does not answer on %s:\n%s" % (name, address, read_log(name + ".log")))

    def answers(self, address, deadline):
        with udp_socket(self.NAME, address) as sock:
            while time.monotonic() < deadline:
                if ask(sock, (address, stun.PORT), timeout=0.2):
                    return True
        return False


# ---- A client's view ----------------------------------------------------------------------------------------------


def udp_socket(namespace, towards, port=0):
    """A UDP socket in a namespace, of the family of the address it is to talk to."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    sock = inside(namespace, socket.socket, family, socket.SOCK_DGRAM)
    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    return sock


def ask(sock, server, change=0, timeout=1.0, copies=1):
    """The answer to a STUN request: (message, address it came from), or None."""
    request = stun.request(change)
    for _ in range(copies):
        sock.sendto(request.encode(), server)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data, source = sock.recvfrom(2048)
                answer = stun.decode(data)
            except (socket.timeout, ConnectionError, stun.Malformed):
                continue
            if answer.key == request.key:
                return answer, source[:2]
    return None


class Place:
    """A world that has been built: the namespaces from one client to the internet, and the wire."""

    uncounted = ("lo",)  # interfaces of the client

    def __init__(self, world, number, wire):
        self.world = world
        self.number = number
        self.wire_program = wire
        self.rtt_seconds = 0.0  # of the wire that lies
        self.client, self.router, self.inner, self.wire = ("%s%d" % (kind, number) for kind in ("c", "r", "i", "w"))
        self.stack = contextlib.ExitStack()
        v6, host = world.family == 6, 4 * number
        outer = "2001:db8:1:%x::" % number if v6 else "198.51.100."
        self.gateway, self.public = (outer + ("1" if v6 else str(host + 1))), (outer + ("2" if v6 else str(host + 2)))
        if world.routed:
            net = "2001:db8:2:%x::" % number if v6 else "192.0.2."
        else:
            net = "fd00:0:0:%x::" % number if v6 else "10.0.0."
        low = host if world.routed and not v6 else 0
        self.lan, self.local = (net + ("1" if v6 else str(low + 1))), (net + ("2" if v6 else str(low + 2)))
        self.prefix = "64" if v6 else "30"
        self.external = self.local if world.routed else self.public

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def namespace(self, name, forwards=False):
        add_namespace(name, forwards)
        self.stack.callback(ip, "netns del " + name)

    def build(self):
        self.namespace(self.client)
        self.join_internet()
        self.join_routers()
        self.count_packets()

    def join_internet(self):
        """The router, and its wire to the internet."""
        self.namespace(self.router, forwards=True)
        self.namespace(self.wire)
        inside(self.wire, write, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
        link(
            End(self.router, "wan", [self.public + "/" + self.prefix]),
            End(Internet.NAME, "world%d" % self.number, [self.gateway + "/" + self.prefix]),
            through=self.wire,
        )
        self.stack.callback(ip, "link del dev world%d" % self.number, namespace=Internet.NAME)
        ip("route add default via " + self.gateway, namespace=self.router)
        if self.world.routed:
            ip("route add %s via %s" % (self.local, self.public), namespace=Internet.NAME)

    def join_routers(self):
        """The client to the router, or to another one before it."""
        if self.world.inner_rules is None:
            self.join_client(self.router, self.world.rules, self.public)
        else:
            self.join_client(self.inner, self.world.inner_rules, "100.64.0.2", forward=True)
            link(End(self.inner, "wan", ["100.64.0.2/30"]), End(self.router, "lan", ["100.64.0.1/30"]))
            ip("route add default via 100.64.0.1", namespace=self.inner)
            self.add_rules(self.router, self.world.rules, "100.64.0.2", self.public)

    def count_packets(self):
        nft(
            self.client,
            """table inet count {
            counter sent { }
            counter to_bystander { }
            chain out {
                type filter hook output priority filter;
                oifname != { %s } meta l4proto udp counter name sent
                ip daddr %s counter name to_bystander
            }
        }""" % (", ".join(self.uncounted), odd_server.BYSTANDER[0]),
        )

    def join_client(self, router, rules, public, forward=False):
        if forward:
            self.namespace(router, forwards=True)
        link(
            End(self.client, "eth0", [self.local + "/" + self.prefix]),
            End(router, "lan", [self.lan + "/" + self.prefix]),
        )
        ip("route add default via " + self.lan, namespace=self.client)
        self.add_rules(router, rules, self.local, public)

    def add_rules(self, router, rules, client, public):
        family = "ip6" if self.world.family == 6 else "ip"
        if rules:
            nft(router, "table %s router {%s}" % (family, rules.replace("CLIENT", client).replace("PUBLIC", public)))

    @contextlib.contextmanager
    def wired(self, rtt_ms=40.0, jitter_ms=0.0, loss=0.0, burst=0.0, duplicate=0.0, seed=1):
        """Lays the wire between router and internet for the length of the block. Loss is each way."""
        command = [
            self.wire_program,
            "--delay-us",
            "%d" % (rtt_ms * 500),
            "--jitter-us",
            "%d" % (jitter_ms * 1000),
            "--loss",
            "%g" % loss,
            "--burst",
            "%g" % burst,
            "--duplicate",
            "%g" % duplicate,
            "--seed",
            str(seed),
            "a",
            "b",
        ]
        log = self.wire + ".log"
        self.rtt_seconds = rtt_ms / 1000
        with running(self.wire, command, log) as process:
            deadline = time.monotonic() + START_SECONDS
            while "ready" not in read_log(log):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the wire does not come up: " + read_log(log))
                time.sleep(0.002)
            yield
            if process.poll() is not None:
                raise RuntimeError("the wire broke: " + read_log(log))

    def counters(self):
        """{name: packets} that the client has sent."""
        listing = json.loads(inside(self.client, output, ["nft", "-j", "list", "counters"]))
        return {
            entry["counter"]["name"]: entry["counter"]["packets"] for entry in listing["nftables"] if "counter" in entry
        }

    def round_trip(self, server, port=stun.PORT):
        """Seconds that an answer takes at least, of a few tries; None when none came."""
        best = None
        with udp_socket(self.client, server) as sock:
            for _ in range(5):
                start = time.monotonic()
                if ask(sock, (server, port)):
                    best = min(best or 1e9, time.monotonic() - start)
        return best


# ---- The wire program ---------------------------------------------------------------------------------------------


def wire_program(path):
    """The wire element: as built by meson, or else compiled here."""
    if path:
        return os.path.abspath(path)
    compiler = os.environ.get("CC", "cc").split()
    program = os.path.join(FOLDER, "wire")
    output([*compiler, "-std=c11", "-O2", "-o", program, os.path.join(HERE, "wire.c")])
    return program
