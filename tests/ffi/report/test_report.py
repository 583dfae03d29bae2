#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pages of examples/report: of runs on loopback, of a run in a file, and of runs that somebody wrote to do harm.

page.html is the page of run.json. After a change that is meant, make it anew:

    examples/report/natreport.py --from tests/ffi/report/run.json -o tests/ffi/report/page.html
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Callable, Dict, List, Tuple

import checks

sys.path.insert(0, os.path.join(checks.HERE, "..", "python"))
from support import LocalServer  # noqa: E402

import natprobe  # noqa: E402
import natreport as program  # noqa: E402
import page  # noqa: E402
import record  # noqa: E402

HARM = "<script>alert(1)</script>\"'><svg/onload=alert(1)>{{7*7}}&lt;\u202e\0\ud800"


def fixed_run() -> Dict[str, Any]:
    """The run in the file, to be changed."""
    with open(os.path.join(checks.HERE, "run.json"), encoding="utf-8") as file:
        run: Dict[str, Any] = json.load(file)
    return run


def short_run() -> Dict[str, Any]:
    """The same with few events."""
    run = fixed_run()
    run["events"] = run["events"][:5] + run["events"][13:15] + run["events"][-4:]
    return run


def natreport(*words: str) -> Tuple[int, bytes, str]:
    """Runs the program, within this process."""
    data, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(data)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = program.main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
    return status, data.getvalue(), err.getvalue()


def natreport_alone(*words: str, **environment: str) -> Tuple[int, bytes, str]:
    """Runs it as its users do."""
    path = os.path.join(checks.ROOT, "examples", "python")
    done = subprocess.run(
        [sys.executable, "-B", os.path.join(checks.REPORT, "natreport.py"), *words],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    return done.returncode, done.stdout, done.stderr.decode()


class HostileServer(LocalServer):
    """Sends texts of its own: SOFTWARE, and a reason phrase."""

    def _success(self, key: Tuple[int, int], request: bytes, client: Tuple[str, int]) -> bytes:
        harm = HARM.encode("utf-8", "replace")
        harm += b" " * (-len(harm) % 4)
        software = struct.pack("!HH", 0x8022, len(harm)) + harm
        if request[20:]:  # a CHANGE-REQUEST
            reason = struct.pack("!HHHBB", 0x0009, 4 + len(harm), 0, 4, 20) + harm
            return struct.pack("!HH", 0x0111, len(reason + software)) + request[4:20] + reason + software
        answer = super()._success(key, request, client)
        return answer[:2] + struct.pack("!H", len(answer) - 20 + len(software)) + answer[4:] + software


class PageTest(unittest.TestCase):
    """Asserts that pages are right."""

    def assert_right(self, html: str, run: Dict[str, Any]) -> None:
        self.assertEqual(checks.problems_of(html, run), [])

    def render(self, run: Dict[str, Any]) -> str:
        """The page of a run that has passed the checks of a file; it has to be right."""
        run = record.check(json.loads(json.dumps(run)))
        html = page.render(run)
        self.assert_right(html, run)
        return html


class LoopbackTest(PageTest):
    """The program, against servers of ours."""

    def run_against(self, *servers: str, more: Tuple[str, ...] = (), code: int = 0) -> Tuple[str, Dict[str, Any]]:
        """The page and the run, which fit together."""
        named = [word for server in servers for word in ("-s", server)]
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("page.html", "run.json")]
            found, out, err = natreport(*named, *more, "-o", paths[0], "--json", paths[1])
            self.assertEqual((found, out), (code, b""), err)
            with open(paths[1], encoding="utf-8") as file:
                run = json.load(file)
            with open(paths[0], "rb") as page_file:
                data = page_file.read()
            self.assertEqual(natreport("--from", paths[1])[:2], (code, data))
        self.assert_right(data.decode(), run)
        self.assertEqual(run["servers"], list(servers))
        self.assertEqual([e["kind"] for e in run["events"]].count("sent"), run["result"]["packets_sent"])
        return data.decode(), run

    def test_a_verdict(self) -> None:
        with LocalServer() as server:
            html, run = self.run_against(server.name)
        self.assertEqual(run["result"]["nat_type"], "open-internet")
        self.assertIn("let in, though nothing was sent here", html)

    def test_a_server_that_ignores_the_request(self) -> None:
        with LocalServer(change=False) as server:
            html, run = self.run_against(server.name)
        self.assertEqual(run["result"]["nat_type"], "no-nat")
        self.assertIn("the server ignores what it was asked", html)
        self.assertIn("The filtering is not known.", html)

    def test_silence(self) -> None:
        with LocalServer(reply="none") as server:
            html, run = self.run_against(server.name, code=1)
        self.assertEqual(run["result"]["nat_type"], "udp-blocked")
        self.assertNotIn("answered</td>", html)

    def test_nonsense(self) -> None:
        with LocalServer(reply="nonsense") as server:
            html, _ = self.run_against(server.name, more=("-t", "1"), code=1)
        self.assertIn("No verdict", html)

    def test_texts_of_a_server_are_not_on_the_page(self) -> None:
        with HostileServer() as server:
            html, run = self.run_against(server.name)
        self.assertIn("change-rejected", run["result"]["evidence"])
        self.assertIn(420, [event.get("stun_error") for event in run["events"]])
        self.assertNotIn("alert", html)

    def test_thirty_servers(self) -> None:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(LocalServer(change=False, other=i % 2 == 0)) for i in range(30)]
            _, run = self.run_against(*(server.name for server in servers))
        self.assertGreater(len({event.get("remote") for event in run["events"]}), 20)

    def test_optional_tests(self) -> None:
        with LocalServer() as server:
            _, run = self.run_against(server.name, more=("--tests", "port,hairpin"))
        self.assertIn("port_open", run["result"])


class ProgramTest(unittest.TestCase):
    """Exit status 2, and a sentence."""

    def assert_refused(self, *words: str) -> None:
        code, out, err = natreport(*words)
        self.assertEqual((code, out), (2, b""))
        self.assertNotIn("Traceback", err)
        self.assertRegex(err, r"natreport: .")

    def test_wrong_usage(self) -> None:
        for words in (
            ["--nonsense"],
            ["-s", "not:a:server"],
            ["-t", "0"],
            ["-p", "70000"],
            ["-4", "-6"],
            ["--tests", "nonsense"],
            ["--from", "/nowhere", "-s", "127.0.0.1"],
            ["--from", "/nowhere"],
            ["-b", "nonsense"],
        ):
            with self.subTest(words):
                self.assert_refused(*words)

    def test_a_page_that_cannot_be_written(self) -> None:
        self.assert_refused("--from", os.path.join(checks.HERE, "run.json"), "-o", "/nowhere/page.html")

    def test_files_that_are_no_runs(self) -> None:
        good = fixed_run()
        texts = ["", "{", "null", "[]", "{}", "9", "\xff", "[" * 100000, '{"format": NaN}']
        for change in BROKEN:
            run = copy.deepcopy(good)
            change(run)
            texts.append(json.dumps(run))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.json")
            for number, text in enumerate(texts):
                with self.subTest(number=number, text=text[:200]):
                    with open(path, "w", encoding="latin-1") as file:
                        file.write(text)
                    with self.assertRaises(record.NoRunError):
                        record.load(path)
            self.assert_refused("--from", path)

    def test_the_library_is_missing(self) -> None:
        code, out, err = natreport_alone("-s", "127.0.0.1", NATPROBE_LIBRARY="/nowhere.so")
        self.assertEqual((code, out), (2, b""))
        self.assertRegex(err, "^natreport: cannot load")


def setting(*path: Any) -> Callable[[Dict[str, Any]], None]:
    """Sets the value at the end of the path."""

    def change(run: Any) -> None:
        *way, last, value = path
        for name in way:
            run = run[name]
        run[last] = value

    return change


BROKEN: List[Callable[[Dict[str, Any]], None]] = [
    setting("format", 2),
    setting("version", 4),
    setting("measured_at", -1),
    setting("measured_at", 1e9),
    setting("measured_at", 1 << 60),
    setting("servers", "one"),
    setting("servers", [1]),
    setting("result", []),
    setting("result", {}),
    setting("result", "status", "nonsense"),
    setting("result", "packets_sent", "<b>"),
    setting("result", "packets_sent", True),
    setting("result", "detail", ["x"]),
    setting("result", "rtt_ms", "1"),
    setting("result", "elapsed_ms", float("nan")),
    setting("result", "elapsed_ms", float("inf")),
    setting("result", "external_ip", 4),
    setting("result", "evidence", 7),
    setting("result", "server", "nonsense"),
    setting("events", {}),
    setting("events", [3]),
    setting("events", 0, "kind", "else"),
    setting("events", 0, "time_ms", "1"),
    setting("events", 0, "time_ms", -1),
    setting("events", 0, "time_ms", float("inf")),
    setting("events", 0, "remote", 5),
    setting("events", 0, "remote", HARM),
    setting("events", 0, "remote", "203.0.113.1"),
    setting("events", 0, "remote", "[::1%<b>]:1"),
    setting("events", 0, "external", "x:1"),
    setting("result", "external_ip", HARM),
    setting("result", "local_ip", "\ud800"),
    setting("result", "gateway_ip", "<b>"),
    setting("result", "server", HARM + ":1"),
    setting("events", 0, "copy", 1.5),
    setting("events", 0, "copy", 10**30),
    lambda run: run["events"][0].pop("purpose"),
    lambda run: run.pop("events"),
    lambda run: run["result"].pop("mapping"),
]


class FileTest(PageTest):
    """Pages of runs in files."""

    def test_the_page_is_the_same_to_the_byte(self) -> None:
        with open(os.path.join(checks.HERE, "page.html"), "rb") as file:
            golden = file.read()
        code, out, err = natreport_alone("--from", os.path.join(checks.HERE, "run.json"))
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(out == golden, "the head of this file says how to make page.html anew")
        self.assert_right(golden.decode(), fixed_run())

    def test_what_was_kept_out_is_on_it(self) -> None:
        html = page.render(fixed_run())
        for words in ("Port Restricted-cone NAT", "the answer was kept out", "let in, once the path was open"):
            self.assertIn(words, html)

    def test_every_type_and_status(self) -> None:
        for nat_type, status in itertools.chain(
            ((kind, natprobe.Status.OK) for kind in natprobe.NatType),
            ((natprobe.NatType.UNKNOWN, status) for status in natprobe.Status),
        ):
            run = short_run()
            run["result"].update(nat_type=nat_type.label, status=status.label)
            self.render(run)

    def test_every_behaviour(self) -> None:
        for name, behaviour in itertools.product(("mapping", "filtering"), natprobe.Behaviour):
            run = short_run()
            run["result"][name] = behaviour.label
            self.render(run)

    def test_nothing_is_known(self) -> None:
        run = short_run()
        run.update(
            servers=[], events=[], result=natprobe.Result(status=natprobe.Status.RESOLVE, detail="no name").to_dict()
        )
        html = self.render(run)
        for words in ("No verdict", "Nothing was sent.", "Nothing happened.", "the built-in public ones"):
            self.assertIn(words, html)

    def test_everything_is_known(self) -> None:
        run = fixed_run()
        yes = natprobe.Tristate.YES.label
        names = ("port_open", "refused_takes_port", "hairpin", "hairpin_external", "another_nat", "lifetime_recreated")
        run["result"].update({name: yes for name in names}, gateway_ip="10.0.0.1", gateway_external_ip="192.0.2.7")
        run["result"].update(
            lifetime_min_s=30, lifetime_max_s=31, unanswered_min_s=20, unanswered_max_s=21, port_step=-2
        )
        run["result"]["evidence"] = [label for bit in natprobe.Evidence for label in bit.labels]
        run["events"].insert(
            3,
            {"time_ms": 1, "kind": "sent", "purpose": "optional", "request": "I", "copy": 1, "remote": "10.0.0.1:5351"},
        )
        run["events"].append({"time_ms": 99, "kind": "progress", "test": "lifetime", "done": 3, "total": 200})
        self.render(run)

    def test_what_a_newer_version_wrote(self) -> None:
        run = short_run()
        run["news"] = 1
        run["result"].update(nat_type="wormhole", mapping="Behaviour(77)", news="x")
        run["events"][0]["news"] = {"deep": []}
        self.assertNotIn("wormhole", self.render(run))

    def test_long_addresses_and_names(self) -> None:
        run = fixed_run()
        ip = "2001:db8:1234:5678:9abc:def0:1234:"
        for event in run["events"]:
            for name in ("remote", "external"):
                if name in event:
                    event[name] = f"[{ip}{event[name].split(':')[0].split('.')[3]}]:{event[name].rpartition(':')[2]}"
        run["result"].update(external_ip=ip + "ffff", local_ip=ip + "fffe", server=f"[{ip}1]:3478")
        run["servers"] = [f"{'s' * 63}.{'t' * 63}.{'u' * 63}.{'v' * 57}.org:3478"] * 32
        self.render(run)

    def test_texts_that_would_do_harm(self) -> None:
        run = fixed_run()
        run.update(servers=[HARM], version=HARM)
        run["result"]["detail"] = HARM
        for event in run["events"]:
            event.update({name: HARM for name in ("behaviour", "status", "nat_type") if name in event})
            if event["kind"] != "concluded":
                event["request"] = HARM
        html = self.render(run)
        self.assertGreater(html.count("&lt;script&gt;"), 10)
        for part in ("<script", "<svg/", "49<", "\u202e", "\0", "\ud800"):
            self.assertNotIn(part, html)

    def test_an_external_address_that_none_can_send_to(self) -> None:
        for ip in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::", "127.0.0.1", "169.254.1.1", "240.0.0.1"):
            run = short_run()
            run["result"]["external_ip"] = ip
            self.render(run)

    def test_a_peer_has_another_address_than_this_host(self) -> None:
        run = short_run()
        run["result"]["external_ip"] = "192.0.2.1"
        self.assertNotIn("same NAT", self.render(run))


class CheckerTest(unittest.TestCase):
    """The checks find what is wrong: each change of the page, by its name."""

    def test_seeded_faults(self) -> None:
        run = short_run()
        good = page.render(run)
        ms = f"{run['result']['elapsed_ms']:.1f} ms"
        faults = {
            "figures": [
                (ms, "9.9 ms"),
                (ms, ms.replace("ms", "s")),
                ('kind">NAT report', 'kind" data-from="result.none">NAT report'),
                ("2025-11-28 22:30:00", "2025-11-28 22:30:01"),
                ("203.0.113.1:3478</tspan>", "203.0.113.1:3479</tspan>"),
                (">np1 m=ei", ">np1 m=ad"),
            ],
            "loose_digits": [("NAT report</p>", "NAT report 5</p>"), ("This host</text>", "This host 5</text>")],
            "completeness": [('data-from="result.ports_kept"', "data-x"), ('data-from="events.3.request"', "data-x")],
            "peers": [
                (">No</span>", ">Yes</span>"),
                ("They connect if both", "They connect when both"),
                ("f=apd fp=1 v=4 x=192", "f=ei fp=1 v=4 x=192"),
            ],
            "timeline": [("→", "←"), ('data-from="events.2.time_ms"', 'data-from="events.1.time_ms"'), ("●", "")],
            "verdict": [
                ("Moderate</span> Port", "Open</span> Port"),
                ("<title>NAT", "<title>A NAT"),
                ("Hole punching works", "Nothing works"),
            ],
            "loads": [
                ("<main>", "<main><script></script>"),
                ("<main>", '<main><img src="x" alt="">'),
                ("<main>", '<main onclick="x">'),
                ("{ box-sizing", "{ background: url(x); box-sizing"),
                ("default-src 'none'", "default-src *"),
                ("--page: #ffffff", "--page: #fffffe"),
            ],
            "structure": [
                (' lang="en"', ""),
                ('<h2 id="verdict">Verdict</h2>', '<h4 id="verdict">Verdict</h4>'),
                ('<th scope="row">', "<th>"),
                ('role="img"', ""),
                ("title-wide-0", "none"),
                ("<caption>Type, behaviour and addresses</caption>", ""),
            ],
            "no valid HTML": [("<main>", "<main><p><div></p>"), ("</table>", "</span></table>")],
        }
        for name, changes in faults.items():
            for old, new in changes:
                with self.subTest(name, old=old, new=new):
                    self.assertIn(old, good)
                    found = checks.problems_of(good.replace(old, new, 1), run)
                    self.assertTrue(any(problem.startswith(name) for problem in found), found)


class ColourTest(unittest.TestCase):
    """Contrast as WCAG 2 level AA wants it, light and dark."""

    TEXT = [
        ("text", "page"),
        ("note", "page"),
        ("text", "band"),
        ("note", "band"),
        ("text", "wall"),
        ("good", "page"),
        ("bad", "page"),
        ("doubt", "page"),
        ("good", "good-band"),
        ("bad", "bad-band"),
        ("doubt", "doubt-band"),
        ("good", "band"),
    ]
    SHAPES = [
        ("edge", "page"),
        ("edge", "band"),
        ("edge", "wall"),
        ("good", "wall"),
        ("bad", "wall"),
        ("doubt", "wall"),
        ("text", "band"),
    ]

    def setUp(self) -> None:
        with open(os.path.join(checks.REPORT, "templates", "page.css"), encoding="utf-8") as file:
            self.css = file.read()

    def schemes(self) -> List[Dict[str, str]]:
        blocks = re.findall(r":root \{(.*?)\}", self.css, flags=re.DOTALL)
        return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]

    @staticmethod
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def test_contrast(self) -> None:
        schemes = self.schemes()
        self.assertEqual(len(schemes), 2)
        for scheme, (pairs, least) in itertools.product(schemes, ((self.TEXT, 4.5), (self.SHAPES, 3.0))):
            for front, back in pairs:
                with self.subTest(front=front, back=back, least=least, scheme=scheme["page"]):
                    dark, light = sorted(self.luminance(scheme[name]) for name in (front, back))
                    self.assertGreaterEqual((light + 0.05) / (dark + 0.05), least)

    def test_all_colours_are_of_the_schemes(self) -> None:
        rules = re.sub(r":root \{.*?\}", "", self.css, flags=re.DOTALL)
        self.assertNotRegex(rules, r"#[0-9a-f]{3,}|rgb|hsl")
        used = set(re.findall(r"var\(--([\w-]+)\)", rules))
        for scheme in self.schemes():
            self.assertEqual(set(scheme), used)
        fronts = {front for front, _ in [*self.TEXT, *self.SHAPES]} | {back for _, back in [*self.TEXT, *self.SHAPES]}
        self.assertEqual(used - fronts, {"line"})  # of lines that only part rows


if __name__ == "__main__":
    unittest.main()
