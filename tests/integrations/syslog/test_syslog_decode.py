"""Syslog messages, frames and grouping, without a socket."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, LogLine, LogLinesRecorded
from coldaisle.integrations.syslog.decode import Message, asset_name, inert, parse_message, udp_drops
from coldaisle.integrations.syslog.framing import FrameCutter, Rejected
from coldaisle.integrations.syslog.pending import Pending

NOW = 1_700_000_000_000_000_000
_2003 = int(datetime(2003, 10, 11, 22, 14, 15, tzinfo=UTC).timestamp()) * 10**9

# The examples of RFC 5424 section 6.5 and RFC 3164 section 5.4, and what is seen in the field.
MESSAGES = [
    (
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
        Message("mymachine.example.com", LogLine(_2003 + 3_000_000, 2, "su", "'su root' failed")),
    ),
    (
        b"<165>1 2003-10-12T00:14:15.000003+02:00 192.0.2.1 myproc 8710 - - %% It's time",
        Message("192.0.2.1", LogLine(_2003 + 3000, 5, "myproc", "%% It's time")),
    ),
    (
        b'<165>1 2003-10-11T22:14:15Z host app - ID47 [ex@32473 iut="3" s="a\\]b"][b@1 c="d"] text',
        Message("host", LogLine(_2003, 5, "app", "text")),
    ),
    (b"<165>1 - - - - - -", Message("", LogLine(NOW, 5, "", ""))),
    (
        b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        Message("mymachine", LogLine(NOW, 2, "su", "'su root' failed for lonvick on /dev/pts/8")),
    ),
    (b"<13>Feb  5 17:32:18 10.0.0.99 cron[77]: ran", Message("10.0.0.99", LogLine(NOW, 5, "cron", "ran"))),
    (b"<0>Feb  5 17:32:18 switch link down", Message("switch", LogLine(NOW, 0, "", "link down"))),
    (b"<11>no stamp at all", Message("", LogLine(NOW, 3, "", "no stamp at all"))),
    (b"no priority", Message("", LogLine(NOW, 5, "", "no priority"))),
    (b"<999>beyond", Message("", LogLine(NOW, 5, "", "<999>beyond"))),
    (b"\xff\xfe<", Message("", LogLine(NOW, 5, "", "\ufffd\ufffd<"))),
]


@pytest.mark.parametrize(("frame", "expected"), MESSAGES, ids=range(len(MESSAGES)))
def test_a_message_gives_host_time_severity_and_text(frame: bytes, expected: Message) -> None:
    assert parse_message(frame, NOW) == expected


@given(st.binary(max_size=300))
def test_no_bytes_are_refused_or_lost(frame: bytes) -> None:
    line = parse_message(frame, NOW).line
    assert 0 <= line.severity <= 7
    assert line.message == inert(line.message)


@given(st.text(max_size=200))
def test_priority_and_text_keep_the_text(text: str) -> None:
    assert parse_message(b"<14>: " + text.encode(), NOW).line.message == inert((": " + text).rstrip("\r\n\0"))


@pytest.mark.parametrize(
    "stamp", ["9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
def test_a_stamp_that_no_event_can_have_is_the_receivers(stamp: str) -> None:
    assert parse_message(f"<13>1 {stamp} h app - - - text".encode(), NOW).line.time == NOW


def test_control_characters_are_spelt_out() -> None:
    assert inert("a\x1b[31mred\x07\tb\u202ec") == "a\\x1b[31mred\\x07 b\\u202ec"


def test_hostnames_become_asset_names() -> None:
    assert asset_name("Web_01.Example.com") == "host-web-01-example-com"
    assert asset_name("../..") == "host-unknown"


def test_drops_are_found_by_the_sockets_inode() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"
        " 9205: 0100007F:B152 00000000:0000 07 00000000:00001E00 00:00000000 00000000 0 0 9559 2 0 994\n"
    )
    assert udp_drops(table, 9559) == 994
    assert udp_drops(table, 1) == 0


# --- framing ----------------------------------------------------------------------------------------------


def cut(*chunks: bytes, bound: int = 100) -> list[bytes | Rejected]:
    cutter = FrameCutter(bound)
    frames = [frame for chunk in chunks for frame in cutter.feed(chunk)]
    return [*frames, *cutter.finish()]


def test_counted_frames_and_lines_mix_on_one_connection() -> None:
    assert cut(b"5 <1>ab<2>line\n\n7 <3>c\nde<4>last") == [b"<1>ab", b"<2>line", b"<3>c\nde", b"<4>last"]


@given(st.lists(st.sampled_from([b"5 <1>ab", b"<2>line\n", b"12 monkeys\n", b"99\n"]), max_size=8), st.data())
def test_the_cuts_of_the_network_change_nothing(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    assert cut(whole[:at], whole[at:]) == cut(whole) == cut(*[bytes([b]) for b in whole])


def test_digits_that_state_no_length_are_a_line() -> None:
    assert cut(b"12 monkeys\n2024-01-01 x\n") == [b"12 monkeys", b"2024-01-01 x"]


def test_an_over_long_line_is_rejected_and_the_next_one_kept() -> None:
    rejected, kept = cut(b"<1>" + b"x" * 150, b"y" * 500 + b"\n<2>ok\n")
    assert isinstance(rejected, Rejected)
    assert "bound of 100" in rejected.reason
    assert kept == b"<2>ok"


def test_an_over_long_counted_frame_is_passed_over() -> None:
    rejected, kept = cut(b"150 <1>" + b"x" * 100, b"x" * 47 + b"5 <2>ok")
    assert isinstance(rejected, Rejected)
    assert not rejected.fatal
    assert kept == b"<2>ok"


def test_a_false_length_ends_the_connection_instead_of_filling_memory() -> None:
    cutter = FrameCutter(100)
    [rejected] = cutter.feed(b"999999999 <1>x")
    assert isinstance(rejected, Rejected)
    assert rejected.fatal


def test_half_a_counted_frame_is_rejected_at_the_end() -> None:
    [rejected] = cut(b"50 <1>half")
    assert isinstance(rejected, Rejected)


# --- grouping ---------------------------------------------------------------------------------------------


def line(text: str) -> LogLine:
    return LogLine(NOW, 5, "app", text)


def bodies(pending: Pending) -> list[object]:
    return [observation.body for observation in pending.take(NOW + 1)]


def test_lines_are_grouped_by_asset_and_cut_at_the_bound() -> None:
    pending = Pending("edge", 100, 2)
    for asset, text in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]:
        pending.add(asset, line(text))
    assert bodies(pending) == [
        LogLinesRecorded("a", (line("1"), line("3")), "syslog"),
        LogLinesRecorded("a", (line("4"),), "syslog"),
        LogLinesRecorded("b", (line("2"),), "syslog"),
    ]
    assert bodies(pending) == []


def test_long_lines_are_cut_into_several_events() -> None:
    pending = Pending("edge", 100, 100)
    for _ in range(3):
        pending.add("a", line("x" * 131_072))
    assert len(bodies(pending)) == 3


def test_what_does_not_fit_is_counted() -> None:
    pending = Pending("edge", 2, 10)
    for text in "abcd":
        pending.add("a", line(text))
    gap, kept = bodies(pending)
    assert isinstance(gap, GapRecorded)
    assert (gap.source, gap.lost_count) == ("edge", 2)
    assert isinstance(kept, LogLinesRecorded)
    assert len(kept.lines) == 2


def test_long_lines_fill_it_before_many_do() -> None:
    pending = Pending("edge", 1_000, 1_000)
    for _ in range(100):
        pending.add("a", line("x" * 131_072))
    gap, *kept = bodies(pending)
    assert isinstance(gap, GapRecorded)
    assert (gap.lost_count, len(kept)) == (36, 64)
    assert not pending.is_full


def test_a_gap_does_not_end_before_it_began_when_the_clock_steps_back() -> None:
    pending = Pending("edge", 2, 10)
    pending.take(NOW)
    pending.lose("a reason", 1)
    [gap] = [observation.body for observation in pending.take(NOW - 1)]
    assert isinstance(gap, GapRecorded)
    assert (gap.since, gap.until) == (NOW - 1, NOW - 1)


def test_a_flood_of_garbage_is_counted_beyond_the_first() -> None:
    pending = Pending("edge", 10, 10)
    for _ in range(150):
        pending.reject("bad", "\\xff", NOW)
    gap, *rejections = pending.take(NOW)
    assert isinstance(gap, Observation)
    assert isinstance(gap.body, GapRecorded)
    assert gap.body.lost_count == 50
    assert [type(r.body) for r in rejections] == [InputRejected] * 100
