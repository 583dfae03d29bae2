# SPDX-License-Identifier: MIT
"""Whether a page of examples/report is right: each figure against the JSON of the same run, and whether it is good HTML."""

from __future__ import annotations

import base64
import calendar
import hashlib
import os
import re
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Set
from xml.etree.ElementTree import Element

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
REPORT = os.path.join(ROOT, "examples", "report")
sys.path[:0] = [os.path.join(ROOT, "examples", "python"), REPORT]

import html5lib  # noqa: E402

import natprobe  # noqa: E402
from record import printable  # noqa: E402

HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
LOADING_ELEMENTS = set(
    "script link iframe frame img image object embed base form video audio source use feimage foreignobject".split()
)
LOADING_ATTRIBUTES = set("src href srcset action formaction data poster background ping style".split())
# Words of the library and the page in which a digit is no figure of the run.
FIXED = re.compile(r"\bRFC \d+|\bIPv[46]\b|\bNAT64\b|\bolder than 15 minutes\b")
GROUPS: Dict[str, Callable[[Dict[str, Any]], bool]] = {
    "plain": lambda e: e["purpose"] != "optional" and e["request"] not in ("II", "III"),
    "II": lambda e: e["purpose"] not in ("optional", "control") and e["request"] == "II",
    "III": lambda e: e["purpose"] not in ("optional", "control") and e["request"] == "III",
    "control-II": lambda e: e["purpose"] == "control" and e["request"] == "II",
    "control-III": lambda e: e["purpose"] == "control" and e["request"] == "III",
    "optional": lambda e: e["purpose"] == "optional",
}
PACKETS = ("sent", "answered")


def problems_of(html: str, run: Dict[str, Any]) -> List[str]:
    """What is wrong with the page of a run; nothing if it is right."""
    try:
        root = html5lib.HTMLParser(strict=True).parse(html)
    except html5lib.html5parser.ParseError as problem:
        return [f"no valid HTML: {problem}"]
    parts = (figures, loose_digits, completeness, peers, timeline, verdict, loads, structure)
    return [f"{part.__name__}: {problem}" for part in parts for problem in part(root, run)]


def elements(root: Element) -> Iterator[Element]:
    """All elements, without comments."""
    return (element for element in root.iter() if isinstance(element.tag, str))


def name_of(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def text_of(element: Element) -> str:
    return "".join(element.itertext())


def words_of(element: Element) -> str:
    return " ".join(text_of(element).split())


# ---- Figures ----------------------------------------------------------------------------------------------------------


def address(run: Dict[str, Any], which: str) -> str:
    ip, port = run["result"][which + "_ip"], run["result"][which + "_port"]
    if not ip:
        return f"port {port}"
    return str(natprobe.Endpoint(ip, port)) if port else ip


def of_remote(run: Dict[str, Any], group: str, index: str) -> List[Dict[str, Any]]:
    """The requests and answers of a group, to and from the endpoint of an event."""
    remote = run["events"][int(index)].get("remote", "")
    packets = [event for event in run["events"] if event["kind"] in PACKETS and event.get("remote", "") == remote]
    return [event for event in packets if GROUPS[group](event)]


def line_of(profile: natprobe.Profile) -> str:
    try:
        natprobe.Profile.parse(str(profile))
        return str(profile)
    except natprobe.InvalidArgumentError:  # the peer would refuse such a line
        return str(profile.without_address())


def value_of(source: str, run: Dict[str, Any]) -> Any:
    """What an element has to show, by its attribute data-from."""
    words = source.split(".")
    if source in ("result.external", "result.local"):
        return address(run, words[1])
    if source == "profile":
        result = natprobe.Result.from_dict(run["result"])
        profile = natprobe.Profile.from_result(result, run["measured_at"])
        return line_of(profile)
    if words[0] == "evidence":
        return run["result"]["evidence"][int(words[1])]
    if words[0] == "count":
        return len([event for event in of_remote(run, words[2], words[3]) if event["kind"] == words[1]])
    if words[0] == "port":
        return run["events"][int(words[1])]["external"].rpartition(":")[2]
    value: Any = run
    for word in words:
        value = value[int(word)] if isinstance(value, list) else value[word]
    return value


def is_shown(text: str, source: str, run: Dict[str, Any]) -> bool:
    """Whether the text says the value, a time to its last digit."""
    if source.startswith("errors."):
        _, group, index = source.split(".")
        return int(text) in {event.get("stun_error") for event in of_remote(run, group, index)}
    if source == "measured_at":
        return bool(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S UTC")) == run["measured_at"])
    value = value_of(source, run)
    if source.endswith("_ms"):
        shown = re.fullmatch(r"(\d+)(?:\.(\d+))?( ms)?", text)
        is_row = source.startswith("events.")  # its column says the unit
        if shown is None or bool(shown[3]) == is_row:
            return False
        return abs(float(text.split()[0]) - float(value)) <= 0.501 * 10.0 ** -len(shown[2] or "")
    return text == printable(str(value))


def figures(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    count = 0
    for element in elements(root):
        source = element.get("data-from")
        if source is None:
            continue
        count += 1
        try:
            good = is_shown(text_of(element), source, run)
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            yield f"{source}: {problem!r}"
            continue
        if not good:
            yield f"{source} reads {text_of(element)!r}, the run has {run['result']}"[:300]
    if count < 10:
        yield f"only {count} figures"


def loose_digits(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """Digits that nothing compares."""

    def texts(element: Element) -> Iterator[str]:
        if not isinstance(element.tag, str) or name_of(element) == "style" or element.get("data-from"):
            return
        yield element.text or ""
        for child in element:
            yield from texts(child)
            yield child.tail or ""

    for text in texts(root):
        if re.search(r"\d", FIXED.sub("", text)):
            yield repr(text.strip())


def completeness(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """All that the run has is shown."""
    shown = {element.get("data-from") for element in elements(root)}
    joined = {"external_ip": "external", "external_port": "external", "local_ip": "local", "local_port": "local"}
    for name, value in run["result"].items():
        if value not in (None, "", []) and name != "evidence" and "result." + joined.get(name, name) not in shown:
            yield f"result.{name} is not shown"
    wanted = {"version", "measured_at", "profile"} | {f"servers.{i}" for i in range(len(run["servers"]))}
    wanted |= {f"evidence.{i}" for i in range(len(run["result"]["evidence"]))}
    for index, event in enumerate(run["events"]):
        if event["kind"] in (*PACKETS, "concluded"):
            names = set(event) - {"kind", "purpose"} - ({"copy"} if event.get("copy") == 1 else set())
            wanted |= {f"events.{index}.{name}" for name in names}
    yield from (f"{source} is not shown" for source in sorted(wanted - shown))
    if not run["servers"] and "built-in" not in text_of(root):
        yield "which servers is not said"


# ---- What it says -----------------------------------------------------------------------------------------------------


def peers(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """Each outlook as the library says it of the two lines."""
    now = run["measured_at"]
    ours = natprobe.Profile.from_result(natprobe.Result.from_dict(run["result"]), now)
    rows = [element for element in elements(root) if element.get("data-peer")]
    if len(rows) < 8:
        yield f"{len(rows)} kinds of peers"
    for row in rows:
        found = natprobe.outlook(ours, natprobe.Profile.parse(row.get("data-peer", "")), now)
        answer = {True: "Yes", False: "No", None: "Not sure"}[found.connects]
        says = words_of(row)
        for words in (
            f" {answer} {found.outlook.description} {found.outlook}",
            found.rule.description,
            *found.assumes.descriptions,
        ):
            if words not in says:
                yield f"{row.get('data-peer')}: {words!r} is not in {says!r}"


def timeline(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """A row for each event, in their order, with a word and an arrow for its kind."""
    table = [element for element in elements(root) if "timeline" in element.get("class", "").split()]
    rows = [row for element in table for row in element.iter(HTML + "tr") if row.find(HTML + "td") is not None]
    events = [(index, event) for index, event in enumerate(run["events"]) if event["kind"] in (*PACKETS, "concluded")]
    if len(rows) != len(events):
        yield f"{len(rows)} rows for {len(events)} events"
    for row, (index, event) in zip(rows, events):
        arrow = {"sent": "→ Sent", "answered": "← Answer to", "concluded": "● The "}[event["kind"]]
        sources = {element.get("data-from", "") for element in elements(row)} - {""}
        if arrow not in words_of(row) or any(not source.startswith(f"events.{index}.") for source in sources):
            yield f"event {index} is not in its row: {words_of(row)!r}"


def verdict(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    result = natprobe.Result.from_dict(run["result"])
    has_type = result.nat_type != natprobe.NatType.UNKNOWN or result.status == natprobe.Status.OK
    title = result.nat_type.description if has_type else "No verdict"
    heads = [words_of(element) for element in root.iter(HTML + "h1")]
    if heads != [f"{result.nat_type.grade} {title}"]:
        yield f"the heading is {heads}"
    if words_of(next(root.iter(HTML + "title"))) != f"NAT report: {title}":
        yield "the title is another"
    for text in result.evidence.descriptions:
        if text not in words_of(root):
            yield f"the evidence lacks {text!r}"
    if has_type and result.nat_type.advice not in words_of(root):
        yield "the advice is missing"


# ---- What it is -------------------------------------------------------------------------------------------------------


def loads(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """What would load something, or run."""
    for element in elements(root):
        if name_of(element).lower() in LOADING_ELEMENTS:
            yield f"<{name_of(element)}>"
        for name in element.attrib:
            bare = name.rpartition("}")[2].lower()
            if bare in LOADING_ATTRIBUTES or bare.startswith("on"):
                yield f"{name} of <{name_of(element)}>"
    styles = [text_of(element) for element in root.iter(HTML + "style")]
    policies = [
        e.get("content", "") for e in root.iter(HTML + "meta") if e.get("http-equiv") == "Content-Security-Policy"
    ]
    if len(styles) != 1 or len(policies) != 1:
        yield f"{len(styles)} styles, {len(policies)} policies"
        return
    if re.search(r"url\(|@import|@font-face|image-set", styles[0]):
        yield "the style loads something"
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    if not policies[0].startswith(f"default-src 'none'; style-src 'sha256-{digest}';"):
        yield f"the policy is {policies[0]}"


def structure(root: Element, run: Dict[str, Any]) -> Iterator[str]:
    """What a screen reader goes by."""
    if root.get("lang") != "en":
        yield "no lang"
    for name in ("header", "main", "footer", "h1", "title"):
        if len(list(root.iter(HTML + name))) != 1:
            yield f"not one <{name}>"
    level = 0
    for element in elements(root):
        if re.fullmatch("h[1-6]", name_of(element)):
            if int(name_of(element)[1]) > level + 1:
                yield f"{text_of(element)!r} skips a level"
            level = int(name_of(element)[1])
    ids = [element.get("id") for element in elements(root) if element.get("id")]
    yield from (f"the id {one} is there twice" for one in set(ids) if ids.count(one) > 1)
    for element in elements(root):
        for one in element.get("aria-labelledby", "").split():
            if one not in ids:
                yield f"no {one}"
    yield from pictures(root)
    yield from tables(root)


def pictures(root: Element) -> Iterator[str]:
    named: Set[str] = set()
    for svg in root.iter(SVG + "svg"):
        if svg.get("aria-hidden") == "true":
            continue
        named |= set(svg.get("class", "").split())
        labels = [child.get("id") for child in svg if name_of(child) in ("title", "desc") and words_of(child)]
        if svg.get("role") != "img" or svg.get("aria-labelledby", "").split() != labels or len(labels) != 2:
            yield "a picture has no role, title or desc"
    if not {"wide", "narrow"} <= named:
        yield "no picture for each width"


def tables(root: Element) -> Iterator[str]:
    for table in root.iter(HTML + "table"):
        if table.find(HTML + "caption") is None or not words_of(table.find(HTML + "caption")):  # type: ignore[arg-type]
            yield "a table has no caption"
        for head in table.iter(HTML + "th"):
            if head.get("scope") not in ("row", "col", "rowgroup") or not words_of(head):
                yield f"the header {words_of(head)!r} has no scope, or no words"
