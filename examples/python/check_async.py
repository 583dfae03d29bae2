#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several checks at once in asyncio: one for each server given, else IPv4 and IPv6: check_async.py [SERVER...]"""

import asyncio
import sys

from natprobe import Family, NatProbeError, Probe


async def check(name: str, probe: Probe) -> bool:
    """Prints what a probe finds out; whether there is a verdict."""
    async with probe:
        try:
            result = await probe.run_async()
        except NatProbeError as error:
            print(f"{name}: {error.status}: {error}")
            return False
    print(f"{name}: {result.nat_type.description}, seen as {result.external}")
    return True


async def main() -> bool:
    """All at once; whether any has a verdict."""
    probes = {server: Probe(servers=[server]) for server in sys.argv[1:]}
    probes = probes or {family.name: Probe(family=family) for family in (Family.IPV4, Family.IPV6)}
    return any(await asyncio.gather(*(check(name, probe) for name, probe in probes.items())))


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
