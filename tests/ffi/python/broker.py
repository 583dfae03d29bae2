#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs servers for tests that run elsewhere, as under Wine: one for each connection, as long as it lasts.

Prints the port. A connection sends a line of JSON, the arguments of LocalServer; it gets the server's name.
"""

from __future__ import annotations

import json
import socketserver

from support import LocalServer


class Broker(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        with LocalServer(**json.loads(self.rfile.readline())) as server:
            self.wfile.write(f"{server.name}\n".encode())
            self.wfile.flush()
            self.rfile.read()


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Broker) as tcp:
        print(tcp.server_address[1], flush=True)
        tcp.serve_forever()
