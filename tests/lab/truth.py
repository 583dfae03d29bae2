# SPDX-License-Identifier: MIT
"""Measures what a world does with a client of the lab's own: no verdict is held against a world that is not so."""

import lab
import stun
import worlds


def patience(place):
    """How long to wait for an answer; there is no loss while a world is measured."""
    return {"timeout": 0.3 + place.rtt_seconds, "copies": 3}


def measure_filtering(place, primary):
    """From a socket that has spoken to the primary address alone. None when nothing answers."""
    with lab.udp_socket(place.client, primary) as sock:
        server = (primary, stun.PORT)
        if not lab.ask(sock, server, **patience(place)):
            return None
        if lab.ask(sock, server, stun.CHANGE_IP | stun.CHANGE_PORT, **patience(place)):
            return worlds.ENDPOINT_INDEPENDENT
        return worlds.ADDRESS if lab.ask(sock, server, stun.CHANGE_PORT, **patience(place)) else worlds.ADDRESS_AND_PORT


def measure_mapping(place, primary, alternate):
    """(mapping behaviour, whether the port is kept, external IP)."""
    with lab.udp_socket(place.client, primary) as sock:
        seen = {}
        for ip in (primary, alternate):
            for port in (stun.PORT, stun.ALTERNATE_PORT):
                answer = lab.ask(sock, (ip, port), **patience(place))
                seen[ip, port] = answer[0].mapped if answer else None
        local = (place.local, sock.getsockname()[1])
    first = seen[primary, stun.PORT]
    if None in seen.values():
        raise RuntimeError("unanswered: %s" % seen)
    if set(seen.values()) == {local}:
        mapping = worlds.NONE
    elif len(set(seen.values())) == 1:
        mapping = worlds.ENDPOINT_INDEPENDENT
    else:
        by_address = all(seen[ip, stun.PORT] == seen[ip, stun.ALTERNATE_PORT] for ip in (primary, alternate))
        mapping = worlds.ADDRESS if by_address else worlds.ADDRESS_AND_PORT
    return mapping, first[1] == local[1], first[0]


def problems(place, primary, alternate):
    """What is not as the world's description has it."""
    world = place.world
    filtering = measure_filtering(place, primary)
    if world.is_blocked or filtering is None:
        return [] if world.is_blocked and filtering is None else ["blocked: %s" % (filtering is None)]
    mapping, port_kept, external_ip = measure_mapping(place, primary, alternate)
    found = {"filtering": filtering, "mapping": mapping, "port kept": port_kept, "external address": external_ip}
    wanted = {
        "filtering": world.filtering,
        "mapping": world.mapping,
        "port kept": world.port_kept,
        "external address": place.external,
    }
    return [
        "%s is %s, should be %s" % (name, found[name], wanted[name]) for name in found if found[name] != wanted[name]
    ]
