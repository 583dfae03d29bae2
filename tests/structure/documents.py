# SPDX-License-Identifier: MIT
"""
What the documents say that can be compared: links lead somewhere, the programs, options and suites of commands exist, numbers
are those of the tree, and METHOD's computation prints what stands below it.
"""
import os
import re
import shlex

import common

FOLDERS = ["docs", "examples"]
# A limit, and the words of METHOD that state it.
LIMITS = {
    "NPI_RATE_TRANSACTIONS": "%s new transactions in any second",
    "NPI_PACE_MIN_NS": "no test is repeated within %s ms",
    "NPI_ALTERNATE_COPIES": "at most %s copies of requests to an address that only servers named",
    "NPI_ROUNDS_UNTIL": "sends no more rounds after %s",
    "NPI_ROUNDS_UNTIL_MORE": "these numbers rise by 30 and %s",
    "NPI_DATAGRAMS_MAX": "sends nothing after %s datagrams",
    "NPI_DATAGRAMS_MORE": "these numbers rise by %s and 25",
    "NPI_IN_VAIN_MAX": "At most %s datagrams from before the path woke up",
    "NPI_TRIALS_MAX": "at most %s servers are tried for filtering",
    "NPI_HEDGE_FIRST_NS": "the first server it asks the next one after %s ms of silence",
    "NPI_HEDGE_NEXT_NS": "a later server after %s ms",
    "NPI_HEDGE_MAPPING_NS": "mapping alone it waits %s ms each time",
    "NPI_SILENT_NS": "server that has not answered for %s ms holds back nobody",
    "NPI_HEDGE_MIN_NS": "are enough, but at least %s ms",
    "NPI_CONTROL_WAIT_NS": "With a round trip up to %s ms",
    "NPI_SILENCE_FILTERING": "once the bound is below %s",
    "NPI_SILENCE_LOSSY": "Once losses have been seen, %s is enough",
    "NPI_SILENCE_DOUBTFUL": "If it is above %s",
    "NPI_SILENCE_EXTENDED": "sends more copies until it is below %s",
    "NPI_SILENCE_TOTAL_PHASE": "the filtering phase | %s |",
    "NPI_SILENCE_TOTAL": "the check after the mapping phase | %s |",
    "NPI_SILENCE_TOTAL_QUARTER": "if a quarter is lost, or less | %s |",
    "NPI_SILENT_MIN_REPEATED": "Then at least %s copies must be silent",
    "NPI_COPIES_APART_NS": "copies that left at least %s ms apart",
    "NPI_STANDSTILL_NS": "a return more than %s ms later than the engine asked for",
    "NPI_LATE_RTT_MAX_NS": "With a round trip above %s ms",
    "NPI_SLOW_SHARE": "The filtering may take %s % of the time allowed",
    "NPI_SEND_RETRY_MAX_NS": "up to every %s ms",
    "NPI_CHANCE": "until chance has a probability of at most %s",
    "NPI_CHANCE_BOTH_SOCKETS": "It is %s if the filtering socket has compared two addresses",
    "NPI_PORTS_MIN": "N is at least %s",
    "NPI_SEQUENCE_STEP": "by steps of at most %s are counted up",
    "NPI_PATH_SOCKETS": "at most %s more fresh sockets compare ways",
    "NPI_LOOKS": "and %s compare what destinations see",
}


def documents(root):
    yield from (os.path.join(root, name) for name in sorted(os.listdir(root)) if name.endswith(".md"))
    yield from common.source_files(root, FOLDERS, (".md",))


def one_line(text):
    return re.sub(r"\s+", " ", text)


# ---- Links


def anchors(path):
    """As the hosting sites make them from headings."""
    text = re.sub(r"^```.*?^```$", "", common.read(path), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def link_problems(path, root):
    for target in re.findall(r"\]\(([^)\s]+)\)", common.read(path)):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(there):
            yield "%s: the link %s leads nowhere" % (os.path.relpath(path, root), target)
        elif anchor and anchor not in anchors(there):
            yield "%s: %s has no heading #%s" % (os.path.relpath(path, root), name, anchor)


# ---- Names


def name_problems(path, args):
    """The public names. Two documents are about those of earlier versions as well."""
    if os.path.basename(path) in ("CHANGELOG.md", "MIGRATION.md"):
        return
    public = os.path.join(args.tree, "include", "natprobe")
    known = set(re.findall(r"\bnp_\w+|\bNP_\w+", "".join(common.read(os.path.join(public, n)) for n in os.listdir(public))))
    for name in sorted(set(re.findall(r"\bnp_[a-z]\w*|\bNP_[A-Z]\w*", common.read(path))) - known):
        if not name.endswith("_"):  # the begin of several
            yield "%s: there is no %s" % (os.path.relpath(path, args.documents), name)


# ---- Commands


def commands(path):
    """The words of each line of a shell block."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", common.read(path), flags=re.M | re.S):
        for line in block.splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                continue  # part of a text over several lines
            if words:
                yield words


def source_of(program, tree):
    """The text in which the options of a program must be found; None: it is not there."""
    path = os.path.join(tree, program)
    if program.startswith("build/"):
        folder = os.path.join(tree, os.path.dirname(program)[len("build/"):])
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        base = os.path.basename(program).replace("-", "_")
        texts = [common.read(os.path.join(folder, n)) for n in names if n.endswith(".c") and n.startswith(base)]
        return "\n".join(texts) or None
    return common.read(path) if os.path.isfile(path) else None


def option_problems(words, tree):
    """Of a program of this tree. What stands behind "--" is for another program."""
    program = words[0]
    if not re.match(r"(build|tests|examples)/", program):
        return
    text = source_of(program, tree)
    if text is None:
        yield "there is no %s" % program
        return
    own = words[1:words.index("--")] if "--" in words else words[1:]
    for word in own:
        option = word.split("=")[0]
        if option.startswith("--") and option not in text and '"%s"' % option[2:] not in text:
            yield "%s does not know %s" % (program, option)


def words_of_meson(tree):
    """Every text in quotes in the meson.build files: names of suites and tests, or what follows their prefix."""
    files = common.source_files(tree, ["tests"], ("meson.build",))
    return {word for path in files for word in re.findall(r"'([^'\n]*)'", common.read(path))}


def test_problems(words, known):
    """Of meson test: its suites, and the tests that are named. A build may leave some of them out."""
    if words[:2] != ["meson", "test"]:
        return
    takes_value = {"-C", "--suite", "--setup", "--num-processes"}
    for i, word in enumerate(words[2:], 2):
        if words[i - 1] == "--suite" and word not in known | {"NAME"}:
            yield "there is no suite %s" % word
        is_test = words[i - 1] not in takes_value and not word.startswith("-") and "--benchmark" not in words
        if is_test and not known & {word, re.split("[-_]", word, maxsplit=1)[-1]}:
            yield "there is no test %s" % word


def command_problems(path, args, known):
    for words in commands(path):
        for problem in [*option_problems(words, args.tree), *test_problems(words, known)]:
            yield "%s: %s: %s" % (os.path.relpath(path, args.documents), " ".join(words), problem)


# ---- Numbers


def limit_values(tree):
    text = common.read(os.path.join(tree, "libnatprobe", "engine", "limits.h"))
    values = {}
    for name, value in re.findall(r"^#define (NPI_\w+) (.+?)(?: /\*.*)?$", text, flags=re.M):
        values[name] = value.strip("()").replace(" * NPI_MS", "")
    return {name: values.get(value, value) for name, value in values.items()}


def limit_problems(method, tree):
    values = limit_values(tree)
    for name, words in LIMITS.items():
        if name not in values:
            yield "limits.h has no %s" % name
            continue
        wanted = words.replace("%s", values[name])
        if wanted not in method:
            yield "METHOD.md does not say of %s: %s" % (name, wanted)


def count_in(tree, path, pattern):
    return len(re.findall(pattern, common.read(os.path.join(tree, *path)), flags=re.M))


def count_problems(texts, tree):
    inputs = count_in(tree, ("tests", "hostile", "catalogue.c"), r'^    \{\d+, "h\d')
    not_sent = count_in(tree, ("tests", "hostile", "catalogue.c"), r'^     "')
    wanted = {
        "README.md": ["%d named hostile inputs" % inputs],
        "SECURITY.md": ["%d hostile inputs" % inputs, "%d of them also through real sockets" % (inputs - not_sent)],
        "STRUCTURE.md": ["%d hostile inputs" % inputs],
    }
    for name, sentences in wanted.items():
        for sentence in sentences:
            if name in texts and sentence not in texts[name]:
                yield '%s does not say "%s"' % (name, sentence)


def time_problems(texts, benchmarks):
    """The time of a full verdict in the README, against the table of the servers that can bring one."""
    found = re.findall(r"^## (?:coturn|stund), loss 0 %\n.*?^\| natprobe \|([^\n]*)$", benchmarks, flags=re.M | re.S)
    times = [int(ms) for row in found for ms in re.findall(r"<br>(\d+) ms", row)]
    sentence = "a full verdict takes %d to %d ms" % (min(times, default=0), max(times, default=0))
    return [] if sentence in texts.get("README.md", "") else ['README.md does not say "%s"' % sentence]


def computed_problems(method):
    """The shell block that computes the bound, and the block of its output."""
    found = re.search(r"^```sh\n(python3 -c .*?)^```\n\n^```\n(.*?)^```$", method, flags=re.M | re.S)
    if not found:
        return ["METHOD.md computes nothing"]
    printed = common.run(["sh", "-c", found.group(1)])
    return [] if printed == found.group(2) else ["METHOD.md computes another bound:\n" + printed]


def main():
    p = common.parser(__doc__)
    p.add_argument("documents", help="the folder of the documents")
    p.add_argument("tree", help="the source tree that they are about")
    args = p.parse_args()
    known = words_of_meson(args.tree)
    paths = list(documents(args.documents))
    raw = {os.path.basename(path): common.read(path) for path in paths if "examples" not in os.path.relpath(path, args.documents)}
    texts = {name: one_line(text) for name, text in raw.items()}
    problems = [] if paths else ["no document under %s" % args.documents]
    for path in paths:
        problems += link_problems(path, args.documents)
        problems += name_problems(path, args)
        problems += command_problems(path, args, known)
    problems += limit_problems(texts.get("METHOD.md", ""), args.tree)
    problems += count_problems(texts, args.tree)
    problems += time_problems(texts, raw.get("BENCHMARKS.md", ""))
    problems += computed_problems(raw.get("METHOD.md", ""))
    common.finish(problems, args.expect)


main()
