# SPDX-License-Identifier: MIT
"""An IP address with a port."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Endpoint(NamedTuple):
    """An IP address and a port: `ip, port = endpoint`. str() gives "192.0.2.1:3478" or "[2001:db8::1]:3478"."""

    ip: str
    """The address as text; empty if only the port is known. A link-local one has its interface: "fe80::1%2"."""
    port: int
    """The port; 0 if only the address is known."""

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def known(ip: str, port: int) -> Optional[Endpoint]:
    """None if neither is known."""
    return Endpoint(ip, port) if ip or port else None


def parse(text: str) -> Optional[Endpoint]:
    """What str() of an Endpoint, or C, gives; None for an empty text."""
    if not text:
        return None
    ip, _, port = text.rpartition(":")
    return Endpoint(ip[1:-1] if ip.startswith("[") else ip, int(port))
