# SPDX-License-Identifier: MIT
"""
Runs a test program with the address of a server as its argument: with_server.py SERVER PROGRAM...

The server is a program of this system; what is tested is one for Windows. Both are on this host's loopback.
"""
import subprocess
import sys

with subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
    status = subprocess.run([*sys.argv[2:], server.stdout.readline().strip()]).returncode
    server.stdin.close()
sys.exit(status)
