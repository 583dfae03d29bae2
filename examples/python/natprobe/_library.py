# SPDX-License-Identifier: MIT
"""Finds the shared library, loads it on first use, and declares its structs and functions."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from typing import Any, Dict, Optional, Tuple

IP_TEXT_SIZE = 46
PROFILE_TEXT_SIZE = 160
SERVER_TEXT_SIZE = 264


class CResult(ctypes.Structure):
    """np_result."""

    _fields_ = [
        ("error", ctypes.c_int32),
        ("nat_type", ctypes.c_int32),
        ("mapping", ctypes.c_int32),
        ("filtering", ctypes.c_int32),
        ("evidence", ctypes.c_uint32),
        ("os_error", ctypes.c_int32),
        ("packets_sent", ctypes.c_uint32),
        ("packets_received", ctypes.c_uint32),
        ("rtt_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("external_port", ctypes.c_uint16),
        ("local_port", ctypes.c_uint16),
        ("external_ip", ctypes.c_char * IP_TEXT_SIZE),
        ("local_ip", ctypes.c_char * IP_TEXT_SIZE),
        ("server", ctypes.c_char * 64),
        ("detail", ctypes.c_char * 192),
        ("port_step", ctypes.c_int32),
        ("local_class", ctypes.c_int32),
        ("ports_seen", ctypes.c_uint16),
        ("ports_kept", ctypes.c_uint16),
        ("external_ips", ctypes.c_uint16),
        ("local_ips", ctypes.c_uint16),
        ("port_open", ctypes.c_int32),
        ("refused_takes_port", ctypes.c_int32),
        ("hairpin", ctypes.c_int32),
        ("hairpin_external", ctypes.c_int32),
        ("another_nat", ctypes.c_int32),
        ("lifetime_recreated", ctypes.c_int32),
        ("lifetime_min_s", ctypes.c_uint32),
        ("lifetime_max_s", ctypes.c_uint32),
        ("unanswered_min_s", ctypes.c_uint32),
        ("unanswered_max_s", ctypes.c_uint32),
        ("gateway_ip", ctypes.c_char * IP_TEXT_SIZE),
        ("gateway_external_ip", ctypes.c_char * IP_TEXT_SIZE),
        ("reserved", ctypes.c_uint8 * 476),
    ]


class CEvent(ctypes.Structure):
    """np_event."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("purpose", ctypes.c_int32),
        ("request", ctypes.c_int32),
        ("copy", ctypes.c_uint32),
        ("stun_error", ctypes.c_int32),
        ("behaviour", ctypes.c_int32),
        ("nat_type", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("time_us", ctypes.c_uint64),
        ("remote", ctypes.c_char * 64),
        ("external", ctypes.c_char * 64),
        ("test", ctypes.c_int32),
        ("done_s", ctypes.c_uint32),
        ("total_s", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 76),
    ]


class CProfile(ctypes.Structure):
    """np_profile."""

    _fields_ = [
        ("measured_at", ctypes.c_int64),
        ("mapping", ctypes.c_int32),
        ("filtering", ctypes.c_int32),
        ("filtering_proven", ctypes.c_int32),
        ("family", ctypes.c_int32),
        ("udp_blocked", ctypes.c_int32),
        ("refused_takes_port", ctypes.c_int32),
        ("port_step", ctypes.c_int32),
        ("external_ips", ctypes.c_uint16),
        ("ports_seen", ctypes.c_uint16),
        ("ports_kept", ctypes.c_uint16),
        ("external_port", ctypes.c_uint16),
        ("external_ip", ctypes.c_char * IP_TEXT_SIZE),
        ("reserved", ctypes.c_uint8 * 166),
    ]


class COutlook(ctypes.Structure):
    """np_outlook_result."""

    _fields_ = [
        ("outlook", ctypes.c_int32),
        ("best", ctypes.c_int32),
        ("worst", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("assumes", ctypes.c_uint32),
        ("rule", ctypes.c_int32),
        ("reserved", ctypes.c_uint8 * 104),
    ]


class CWatchStatus(ctypes.Structure):
    """np_watch_status."""

    _fields_ = [
        ("result", CResult),
        ("reason", ctypes.c_int32),
        ("changed", ctypes.c_uint32),
        ("last_error", ctypes.c_int32),
        ("is_checking", ctypes.c_int32),
        ("age_ms", ctypes.c_int64),
        ("filtering_age_ms", ctypes.c_int64),
        ("next_check_ms", ctypes.c_int64),
        ("checks", ctypes.c_uint64),
        ("changes", ctypes.c_uint64),
        ("reserved", ctypes.c_uint8 * 200),
    ]


class CSurveyReport(ctypes.Structure):
    """np_survey_report."""

    _fields_ = [
        ("error", ctypes.c_int32),
        ("is_capable", ctypes.c_int32),
        ("change_both", ctypes.c_int32),
        ("change_port", ctypes.c_int32),
        ("alternate_alive", ctypes.c_int32),
        ("external_right", ctypes.c_int32),
        ("external_stable", ctypes.c_int32),
        ("is_classic", ctypes.c_int32),
        ("stun_error", ctypes.c_int32),
        ("plain_sent", ctypes.c_uint32),
        ("plain_answered", ctypes.c_uint32),
        ("packets_sent", ctypes.c_uint32),
        ("packets_received", ctypes.c_uint32),
        ("number", ctypes.c_uint32),
        ("addresses", ctypes.c_uint32),
        ("late_us", ctypes.c_uint32),
        ("rtt_us", ctypes.c_uint64),
        ("server", ctypes.c_char * SERVER_TEXT_SIZE),
        ("same_as", ctypes.c_char * SERVER_TEXT_SIZE),
        ("address", ctypes.c_char * 64),
        ("alternate", ctypes.c_char * 64),
        ("external", ctypes.c_char * 64),
        ("detail", ctypes.c_char * 192),
        ("reserved", ctypes.c_uint8 * 296),
    ]


class CSurveyStatus(ctypes.Structure):
    """np_survey_status."""

    _fields_ = [
        ("check", CResult),
        ("is_checking", ctypes.c_int32),
        ("ipv4_open", ctypes.c_int32),
        ("ipv6_open", ctypes.c_int32),
        ("servers", ctypes.c_uint32),
        ("done", ctypes.c_uint32),
        ("answered", ctypes.c_uint32),
        ("capable", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 228),
    ]


LogFn = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)
EventFn = ctypes.CFUNCTYPE(None, ctypes.POINTER(CEvent), ctypes.c_void_p)
DatagramFn = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
WatchFn = ctypes.CFUNCTYPE(None, ctypes.POINTER(CWatchStatus), ctypes.c_void_p)
SurveyFn = ctypes.CFUNCTYPE(None, ctypes.POINTER(CSurveyReport), ctypes.c_void_p)

_int, _int32, _uint16, _uint32 = ctypes.c_int, ctypes.c_int32, ctypes.c_uint16, ctypes.c_uint32
_text, _pointer, _size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
_result = ctypes.POINTER(CResult)
_int64 = ctypes.c_int64
_socket: Any = ctypes.c_size_t if sys.platform == "win32" else ctypes.c_int  # np_socket
_profile, _outlook = ctypes.POINTER(CProfile), ctypes.POINTER(COutlook)

# Every function of natprobe.h. The package does not call the four that block: np_check_nat(), np_check_nat_and_log(),
# np_check_nat_dual() and np_probe_run(). Python runs no signal handler until such a call returns, so Ctrl-C would do nothing.
PROTOTYPES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "np_check_nat": (_int, (_text, _uint16, _result)),
    "np_check_nat_and_log": (_int, (_text, _uint16, _result, LogFn, _pointer)),
    "np_check_nat_dual": (_int, (_result, _result)),
    "np_probe_new": (_pointer, ()),
    "np_probe_free": (None, (_pointer,)),
    "np_probe_set_source": (_int, (_pointer, _text, _uint16)),
    "np_probe_set_interface": (_int, (_pointer, _text)),
    "np_probe_set_socket": (_int, (_pointer, _socket, DatagramFn, _pointer)),
    "np_probe_add_server": (_int, (_pointer, _text)),
    "np_probe_clear_servers": (_int, (_pointer,)),
    "np_probe_set_family": (_int, (_pointer, _int32)),
    "np_probe_set_tests": (_int, (_pointer, _int32)),
    "np_probe_set_timeout": (_int, (_pointer, _uint32)),
    "np_probe_set_lifetime_limit": (_int, (_pointer, _uint32)),
    "np_probe_set_response_timeout": (_int, (_pointer, _uint32)),
    "np_probe_set_log": (_int, (_pointer, _int32, LogFn, _pointer)),
    "np_probe_set_events": (_int, (_pointer, EventFn, _pointer)),
    "np_probe_run": (_int, (_pointer, _result)),
    "np_probe_cancel": (None, (_pointer,)),
    "np_probe_start": (_int, (_pointer,)),
    "np_probe_fd": (_socket, (_pointer,)),
    "np_probe_wait_handle": (_pointer, (_pointer,)),
    "np_probe_process": (_int, (_pointer, _result)),
    "np_profile_from_result": (_int, (_result, _int64, _profile)),
    "np_profile_format": (_int, (_profile, _text, _size)),
    "np_profile_parse": (_int, (_text, _profile, ctypes.POINTER(_text))),
    "np_outlook": (_int, (_profile, _profile, _int64, _outlook)),
    "np_watch_new": (_pointer, (_pointer,)),
    "np_watch_free": (None, (_pointer,)),
    "np_watch_set_interval": (_int, (_pointer, _uint32)),
    "np_watch_set_changes": (_int, (_pointer, WatchFn, _pointer)),
    "np_watch_start": (_int, (_pointer,)),
    "np_watch_fd": (_int, (_pointer,)),
    "np_watch_wait_handle": (_pointer, (_pointer,)),
    "np_watch_process": (_int, (_pointer,)),
    "np_watch_cancel": (None, (_pointer,)),
    "np_watch_read": (_int, (_pointer, ctypes.POINTER(CWatchStatus))),
    "np_watch_note_failure": (_int, (_pointer,)),
    "np_survey_new": (_pointer, (_pointer,)),
    "np_survey_free": (None, (_pointer,)),
    "np_survey_add": (_int, (_pointer, _text)),
    "np_survey_skip": (_int, (_pointer, _text)),
    "np_survey_set_reports": (_int, (_pointer, SurveyFn, _pointer)),
    "np_survey_start": (_int, (_pointer,)),
    "np_survey_fd": (_int, (_pointer,)),
    "np_survey_wait_handle": (_pointer, (_pointer,)),
    "np_survey_process": (_int, (_pointer,)),
    "np_survey_cancel": (None, (_pointer,)),
    "np_survey_read": (_int, (_pointer, ctypes.POINTER(CSurveyStatus))),
    "np_strerror": (_text, (_int32,)),
    "np_error_name": (_text, (_int32,)),
    "np_nat_type_name": (_text, (_int32,)),
    "np_nat_type_description": (_text, (_int32,)),
    "np_nat_type_advice": (_text, (_int32,)),
    "np_nat_type_grade": (_text, (_int32,)),
    "np_behaviour_name": (_text, (_int32,)),
    "np_behaviour_description": (_text, (_int32,)),
    "np_evidence_name": (_text, (_uint32,)),
    "np_evidence_description": (_text, (_uint32,)),
    "np_family_name": (_text, (_int32,)),
    "np_address_class_name": (_text, (_int32,)),
    "np_log_level_name": (_text, (_int32,)),
    "np_event_kind_name": (_text, (_int32,)),
    "np_request_name": (_text, (_int32,)),
    "np_purpose_name": (_text, (_int32,)),
    "np_tristate_name": (_text, (_int32,)),
    "np_outlook_class_name": (_text, (_int32,)),
    "np_outlook_class_description": (_text, (_int32,)),
    "np_outlook_rule_name": (_text, (_int32,)),
    "np_outlook_rule_description": (_text, (_int32,)),
    "np_first_name": (_text, (_int32,)),
    "np_first_description": (_text, (_int32,)),
    "np_assumption_name": (_text, (_uint32,)),
    "np_assumption_description": (_text, (_uint32,)),
    "np_watch_reason_name": (_text, (_int32,)),
    "np_watch_change_name": (_text, (_uint32,)),
    "np_conduct_name": (_text, (_int32,)),
    "np_version": (_text, ()),
    "np_version_number": (_uint32, ()),
    "np_result_size": (_size, ()),
    "np_event_size": (_size, ()),
    "np_profile_size": (_size, ()),
    "np_outlook_result_size": (_size, ()),
    "np_watch_status_size": (_size, ()),
    "np_survey_report_size": (_size, ()),
    "np_survey_status_size": (_size, ()),
}

# The release that this package was written for. Later ones with the same soname only add to it.
WRITTEN_FOR = 0x000400

if sys.platform == "win32":
    _BUNDLED = "natprobe.dll"
    _NAMES: Tuple[str, ...] = ("libnatprobe-1.dll", "natprobe-1.dll")  # by mingw-w64, by Microsoft's compiler
elif sys.platform == "darwin":
    _BUNDLED = "libnatprobe.dylib"
    _NAMES = ("libnatprobe.1.dylib", "libnatprobe.dylib")
else:
    _BUNDLED = "libnatprobe.so"
    _NAMES = ("libnatprobe.so.1",)


def _dotted(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _candidates() -> Tuple[str, ...]:
    """What to try: the file that the user names, the one that a wheel brings, or what the system's loader finds."""
    chosen = os.environ.get("NATPROBE_LIBRARY")
    if chosen:
        return (chosen,)
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), _BUNDLED)
    return (bundled,) if os.path.exists(bundled) else _NAMES


def _open() -> ctypes.CDLL:
    reasons = []
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise ImportError(
        "cannot load libnatprobe ({}): install it in a folder that the loader searches, add its folder to "
        "LD_LIBRARY_PATH, or set NATPROBE_LIBRARY to the path of the file".format("; ".join(reasons))
    )


def _declare(library: Any, name: str) -> None:
    function = getattr(library, name)
    function.restype, function.argtypes = PROTOTYPES[name]


def check(library: Any) -> None:
    """Declares every function. Refuses a library that is too old, is another one, or has other structs."""
    try:
        _declare(library, "np_version_number")
        found = library.np_version_number()
        if found < WRITTEN_FOR:
            needed = _dotted(WRITTEN_FOR)
            raise ImportError(f"libnatprobe {_dotted(found)} is too old: natprobe needs {needed} or later")
        for name in PROTOTYPES:
            _declare(library, name)
    except AttributeError as error:
        raise ImportError(f"{library._name} is not a libnatprobe that natprobe can use: {error}") from None
    for what, size, expected in (
        ("np_result", library.np_result_size(), ctypes.sizeof(CResult)),
        ("np_event", library.np_event_size(), ctypes.sizeof(CEvent)),
        ("np_profile", library.np_profile_size(), ctypes.sizeof(CProfile)),
        ("np_outlook_result", library.np_outlook_result_size(), ctypes.sizeof(COutlook)),
        ("np_watch_status", library.np_watch_status_size(), ctypes.sizeof(CWatchStatus)),
        ("np_survey_report", library.np_survey_report_size(), ctypes.sizeof(CSurveyReport)),
        ("np_survey_status", library.np_survey_status_size(), ctypes.sizeof(CSurveyStatus)),
    ):
        if size != expected:
            raise ImportError(f"{what} has {size} bytes in libnatprobe, natprobe expects {expected}")


@functools.lru_cache(maxsize=None)
def library() -> Any:
    """The library. Raises ImportError if there is none that fits; the next call then tries again."""
    found = _open()
    check(found)
    return found


def decode(text: Optional[bytes]) -> str:
    """Text from C."""
    return (text or b"").decode("utf-8", "replace")


def version() -> str:
    """The version of the loaded library, such as "0.4.0"."""
    return decode(library().np_version())


def version_number() -> int:
    """The version of the loaded library as one number, 0x00MMmmpp. It grows with each release."""
    return int(library().np_version_number())
