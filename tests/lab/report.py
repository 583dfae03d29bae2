# SPDX-License-Identifier: MIT
"""TAP from several threads: a case each time something was checked, and the plan at the end."""

import sys
import threading


class Report:
    def __init__(self, verbose=False):
        self.verbose = verbose
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def check(self, name, problems, remark=""):
        with self.lock:
            number = self.passed + self.failed + 1
            print("%s %d - %s" % ("not ok" if problems else "ok", number, name))
            for line in problems + ([remark] if remark and (problems or self.verbose) else []):
                print("#   " + str(line).replace("\n", "\n#   "))
            sys.stdout.flush()
            if problems:
                self.failed += 1
            else:
                self.passed += 1

    def finish(self):
        """The exit status."""
        print("1..%d" % (self.passed + self.failed))
        sys.stdout.flush()
        return 1 if self.failed or not self.passed else 0
