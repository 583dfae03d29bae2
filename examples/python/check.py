#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shortest useful program: one call, with the built-in public servers, or those given: check.py [SERVER...]"""

import sys

from natprobe import NatProbeError, Probe, check_nat

servers = sys.argv[1:]
try:
    result = Probe(servers=servers).run().as_result() if servers else check_nat()
except NatProbeError as error:
    sys.exit(f"{error.name}: {error}")
print(f"{result.nat_type.value}, seen as {result.external_ip} port {result.external_port}")
