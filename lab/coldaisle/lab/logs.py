"""What machines log by themselves: the daily chatter, and the storm of one complaint. Pure.

Lines depend on seed, logger and moment only. Cut a span where you like: the lines are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.noise import uniform
from coldaisle.lab.notices import ERROR, INFO, WARNING, Notice

SECONDS_A_SLOT = 10.0
CHATTER_CHANCE = 0.3
"""In each slot, that a machine says something: about two lines a minute."""
HOURLY_LINES = 6
HOUR_SECONDS = 3600.0
LINE_CHANNEL, WORD_CHANNEL, NUMBER_CHANNEL = 7_000, 7_100, 7_200


@dataclass(frozen=True, slots=True)
class Said:
    """A line, and the plant second at which it was said."""

    seconds: float
    notice: Notice


_Form = tuple[str, int, str, str]
"""App, severity, tag and text, in which `{n}` is a number."""

_SERVER_FORMS: tuple[_Form, ...] = (
    ("sshd", INFO, "AUTH", "Accepted publickey for deploy from 10.0.8.{n} port 51{n}"),
    ("systemd", INFO, "UNIT", "Started session-{n}.scope - Session {n} of User deploy."),
    ("kubelet", INFO, "POD", "Pod worker-{n} is ready after {n} ms"),
    ("kernel", INFO, "TCP", "TCP: request_sock_TCP: Possible SYN flooding on port 80{n}. Sending cookies."),
    ("chronyd", INFO, "TIME", "Selected source 10.0.0.{n}"),
    ("kubelet", WARNING, "PROBE", "Probe of worker-{n} took {n} ms"),
)
_SWITCH_FORMS: tuple[_Form, ...] = (
    ("Lldp", INFO, "LLDP", "Neighbor table refreshed, {n} entries"),
    ("Aaa", INFO, "LOGIN", "User monitor logged in from 10.0.9.{n}"),
    ("Ebra", INFO, "MAC", "Learned {n} addresses in VLAN 20"),
)
_HOURLY: _Form = ("CRON", INFO, "CRON", "(root) CMD (run-parts /etc/cron.hourly/{n})")
_SERVER_STORM: _Form = ("kernel", ERROR, "NVME", "nvme nvme0: I/O {n} QID 7 timeout, aborting")
_SWITCH_STORM: _Form = (
    "Stp",
    WARNING,
    "FLAP",
    "MAC 02c0.1d{n} flaps between Ethernet3 and Ethernet9",
)


def lines_between(hall: Hall, inputs: Inputs, logger: str, since: float, until: float) -> Iterator[Said]:
    """What one machine says from plant second `since` until just before `until`."""
    slot = int(since // SECONDS_A_SLOT)
    while slot * SECONDS_A_SLOT < until:
        for said in _in_slot(hall, inputs, logger, slot):
            if since <= said.seconds < until:
                yield said
        slot += 1


def _in_slot(hall: Hall, inputs: Inputs, logger: str, slot: int) -> Iterator[Said]:
    index = hall.loggers.index(logger)
    forms = _SWITCH_FORMS if logger in hall.switches else _SERVER_FORMS
    start = slot * SECONDS_A_SLOT
    if uniform(hall.seed, LINE_CHANNEL + index, slot) < CHATTER_CHANCE:
        form = forms[int(uniform(hall.seed, WORD_CHANNEL + index, slot) * len(forms))]
        yield _said(hall, index, form, start + 1.0)
    if start % HOUR_SECONDS < SECONDS_A_SLOT and logger in hall.servers:
        for each in range(HOURLY_LINES):
            yield _said(hall, index, _HOURLY, start + 2.0 + 0.1 * each)
    count = int(inputs.storm_lines_a_second[index] * SECONDS_A_SLOT)
    complaint = _SWITCH_STORM if logger in hall.switches else _SERVER_STORM
    for each in range(count):
        yield _said(hall, index, complaint, start + each * SECONDS_A_SLOT / count)


def _said(hall: Hall, index: int, form: _Form, seconds: float) -> Said:
    app, severity, tag, words = form
    number = int(256.0 * uniform(hall.seed, NUMBER_CHANNEL + index, int(seconds * 100.0)))
    return Said(seconds, Notice(hall.loggers[index], severity, tag, words.format(n=number), app=app))
