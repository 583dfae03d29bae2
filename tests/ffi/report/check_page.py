#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a page with natreport, compares it with the JSON of the same run, and prints it: check_page.py FOLDER SERVER...

Exit status: that of natreport; 3 if the page is not right.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import List

import checks

import natreport


def main(folder: str, servers: List[str]) -> int:
    """Files go into a new folder in the folder."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        page, run = os.path.join(own, "page.html"), os.path.join(own, "run.json")
        named = [word for server in servers for word in ("-s", server)]
        status = natreport.main([*named, "-o", page, "--json", run])
        with open(page, encoding="utf-8") as file:
            html = file.read()
        with open(run, encoding="utf-8") as file:
            problems = checks.problems_of(html, json.load(file))
    print(html)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 3 if problems else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
