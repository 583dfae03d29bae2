# SPDX-License-Identifier: MIT
"""
The worlds a client can live in: what its router does, as nftables rules, and what therefore is true of it.

In the rules "lan" and "wan" are the router's interfaces, CLIENT and PUBLIC the client's and the router's outer address.
A packet that belongs to no flow and is not translated ends in the router's own input chain. Whether that chain drops it
is more than a detail: without FIREWALLED the kernel's connection tracking remembers the packet, and the client's next
packet to where it came from is given another port.
"""

import dataclasses

NONE, ENDPOINT_INDEPENDENT, ADDRESS, ADDRESS_AND_PORT = (
    "none",
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
)
UNKNOWN, DEPENDENT = "unknown", "endpoint-dependent"

FIREWALLED = """
    chain to_router {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        meta l4proto { icmp, icmpv6 } accept
    }
"""
REJECTING = """
    chain to_router {
        type filter hook input priority filter; policy accept;
        iifname "wan" meta l4proto udp ct state new reject
    }
"""
MASQUERADE = """
    chain outgoing { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
"""
FULLY_RANDOM = """
    chain outgoing { type nat hook postrouting priority srcnat; oifname "wan" masquerade random,fully-random; }
"""
# The outer port is a function of what the mapping may depend on.
PORT_BY_SOURCE = """
    chain outgoing {
        type nat hook postrouting priority srcnat;
        oifname "wan" meta l4proto udp snat to PUBLIC:jhash udp sport mod 20000 seed 0x5eed offset 30000
    }
"""
PORT_BY_DESTINATION = """
    chain outgoing {
        type nat hook postrouting priority srcnat;
        oifname "wan" meta l4proto udp snat to PUBLIC:jhash ip daddr . udp sport mod 20000 seed 0x5eed offset 30000
    }
"""
FULL_CONE = MASQUERADE + """
    chain incoming { type nat hook prerouting priority dstnat; iifname "wan" meta l4proto udp dnat to CLIENT; }
"""
RESTRICTED_CONE = MASQUERADE + """
    set spoken_to { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; }
    chain through {
        type filter hook forward priority filter;
        iifname "lan" meta l4proto udp update @spoken_to { ip daddr . udp sport }
    }
    chain incoming {
        type nat hook prerouting priority dstnat;
        iifname "wan" ip saddr . udp dport @spoken_to dnat to CLIENT
    }
"""
STATEFUL_FIREWALL = """
    chain through {
        type filter hook forward priority filter; policy drop;
        iifname "lan" accept
        ct state established,related accept
    }
"""
ADDRESS_FIREWALL = """
    set spoken_to { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; }
    chain through {
        type filter hook forward priority filter; policy drop;
        iifname "lan" meta l4proto udp update @spoken_to { ip daddr . udp sport }
        iifname "lan" accept
        ip saddr . udp dport @spoken_to accept
        ct state related accept
    }
"""
OPENING_FIREWALL = """
    set speaking { type inet_service; flags dynamic,timeout; timeout 60s; }
    chain through {
        type filter hook forward priority filter; policy drop;
        iifname "lan" meta l4proto udp update @speaking { udp sport }
        iifname "lan" accept
        udp dport @speaking accept
        ct state related accept
    }
"""
BLOCKED = """
    chain through { type filter hook forward priority filter; meta l4proto udp drop; }
"""
BLOCKED_WITH_ICMP = """
    chain through { type filter hook forward priority filter; meta l4proto udp reject; }
"""


@dataclasses.dataclass(frozen=True)
class World:
    name: str
    nat_type: str
    mapping: str
    filtering: str
    rules: str = ""
    routed: bool = False  # the client has a public address of its own
    port_kept: bool = True  # the external port equals the local one
    inner_rules: str = None  # there is a second router, between the client and the first
    family: int = 4

    @property
    def is_blocked(self):
        return self.nat_type == "udp-blocked"

    def expected(self, knowledge):
        """(status, nat_type, mapping, filtering) that are right when servers tell so much: full, mapping, address."""
        if self.is_blocked:
            return "no-response", self.nat_type, UNKNOWN, UNKNOWN
        if knowledge == "full":
            return "ok", self.nat_type, self.mapping, self.filtering
        if self.mapping == NONE:
            return "ok", "no-nat", NONE, UNKNOWN
        if knowledge == "address":
            return "inconclusive", UNKNOWN, UNKNOWN, UNKNOWN
        if self.mapping == ENDPOINT_INDEPENDENT:
            return "ok", "cone", ENDPOINT_INDEPENDENT, UNKNOWN
        return "ok", "symmetric", DEPENDENT, UNKNOWN


def routed(name, nat_type, filtering, rules="", **more):
    return World(name, nat_type, NONE, filtering, rules, routed=True, **more)


WORLDS = [
    routed("open", "open-internet", ENDPOINT_INDEPENDENT),
    World("full-cone", "full-cone", ENDPOINT_INDEPENDENT, ENDPOINT_INDEPENDENT, FULL_CONE),
    World("restricted-cone", "restricted-cone", ENDPOINT_INDEPENDENT, ADDRESS, RESTRICTED_CONE + FIREWALLED),
    World("restricted-cone-no-firewall", "restricted-cone", ENDPOINT_INDEPENDENT, ADDRESS, RESTRICTED_CONE),
    World("port-restricted", "port-restricted-cone", ENDPOINT_INDEPENDENT, ADDRESS_AND_PORT, MASQUERADE + FIREWALLED),
    World("port-restricted-no-firewall", "port-restricted-cone", ENDPOINT_INDEPENDENT, ADDRESS_AND_PORT, MASQUERADE),
    World(
        "port-restricted-rejecting",
        "port-restricted-cone",
        ENDPOINT_INDEPENDENT,
        ADDRESS_AND_PORT,
        MASQUERADE + REJECTING,
    ),
    World(
        "port-restricted-port-changed",
        "port-restricted-cone",
        ENDPOINT_INDEPENDENT,
        ADDRESS_AND_PORT,
        PORT_BY_SOURCE + FIREWALLED,
        port_kept=False,
    ),
    World("symmetric", "symmetric", ADDRESS_AND_PORT, ADDRESS_AND_PORT, FULLY_RANDOM + FIREWALLED, port_kept=False),
    World("symmetric-no-firewall", "symmetric", ADDRESS_AND_PORT, ADDRESS_AND_PORT, FULLY_RANDOM, port_kept=False),
    World(
        "symmetric-by-address",
        "symmetric",
        ADDRESS,
        ADDRESS_AND_PORT,
        PORT_BY_DESTINATION + FIREWALLED,
        port_kept=False,
    ),
    routed("firewall", "symmetric-udp-firewall", ADDRESS_AND_PORT, STATEFUL_FIREWALL),
    routed("firewall-by-address", "symmetric-udp-firewall", ADDRESS, ADDRESS_FIREWALL),
    routed("firewall-opening", "open-internet", ENDPOINT_INDEPENDENT, OPENING_FIREWALL),
    World("blocked", "udp-blocked", UNKNOWN, UNKNOWN, MASQUERADE + BLOCKED),
    World("blocked-with-icmp", "udp-blocked", UNKNOWN, UNKNOWN, MASQUERADE + BLOCKED_WITH_ICMP),
    World(
        "double-nat",
        "port-restricted-cone",
        ENDPOINT_INDEPENDENT,
        ADDRESS_AND_PORT,
        MASQUERADE + FIREWALLED,
        inner_rules=MASQUERADE + FIREWALLED,
    ),
    World(
        "double-nat-no-firewall",
        "port-restricted-cone",
        ENDPOINT_INDEPENDENT,
        ADDRESS_AND_PORT,
        MASQUERADE,
        inner_rules=MASQUERADE,
    ),
    World(
        "full-cone-behind-symmetric",
        "symmetric",
        ADDRESS_AND_PORT,
        ADDRESS_AND_PORT,
        FULLY_RANDOM + FIREWALLED,
        inner_rules=FULL_CONE,
        port_kept=False,
    ),
    routed("open6", "open-internet", ENDPOINT_INDEPENDENT, family=6),
    routed("firewall6", "symmetric-udp-firewall", ADDRESS_AND_PORT, STATEFUL_FIREWALL, family=6),
    World(
        "port-restricted6",
        "port-restricted-cone",
        ENDPOINT_INDEPENDENT,
        ADDRESS_AND_PORT,
        MASQUERADE + FIREWALLED,
        family=6,
    ),
]


def named(names):
    """The worlds of these names, in their own order; all of them without names."""
    unknown = set(names or ()) - {world.name for world in WORLDS}
    if unknown:
        raise SystemExit(
            "no such world: %s; there are: %s" % (", ".join(sorted(unknown)), " ".join(w.name for w in WORLDS))
        )
    return [world for world in WORLDS if not names or world.name in names]
