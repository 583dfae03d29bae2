# SPDX-License-Identifier: MIT
"""The copies of the amalgamation beside the bindings are made from this tree's sources."""
import pathlib
import sys

import common

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "libnatprobe" / "amalgamation"))
sys.dont_write_bytecode = True
import copies  # noqa: E402


def main():
    p = common.parser(__doc__)
    p.add_argument("root", type=pathlib.Path, help="of the copies")
    args = p.parse_args()
    problems = []
    seen = set()
    for path, text in copies.wanted():
        name = path.relative_to(copies.ROOT)
        seen.add(str(name))
        copy = args.root / name
        if not copy.exists() or copy.read_bytes() != text.encode():
            problems.append("%s is not of this tree: run libnatprobe/amalgamation/copies.py" % name)
    if seen != common.COPIES:
        problems.append("common.py knows other copies: %s" % sorted(seen ^ common.COPIES))
    print("%d files" % len(seen))
    common.finish(problems, args.expect)


main()
