#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shortest useful program: check.py [SERVER...]. Without servers it asks the built-in ones."""

import sys

from natprobe import NatProbeError, check_nat

try:
    result = check_nat(servers=sys.argv[1:])
except NatProbeError as error:
    sys.exit(f"{error.status}: {error}")
print(f"{result.nat_type.description}, seen as {result.external}")
