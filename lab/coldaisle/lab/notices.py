"""What a device says by itself when a fault comes or goes: the trap and the syslog line. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from coldaisle.lab.devices.crac import ALARM_SHARE, LIEBERT
from coldaisle.lab.devices.rows import ENTERPRISES, MIB_2, Rows, integer, oid, text
from coldaisle.lab.devices.switch import DOWN, IF, UP
from coldaisle.lab.devices.ups import ON_BATTERY_ALARM
from coldaisle.lab.faults import CLOGGED_FLOW_LOSS, Fault

COLD_START, LINK_DOWN, LINK_UP = (f"1.3.6.1.6.3.1.1.5.{number}" for number in (1, 3, 4))
LIEBERT_ADDED, LIEBERT_REMOVED = f"{LIEBERT}.3.3.0.1", f"{LIEBERT}.3.3.0.2"
LIEBERT_CONDITION = f"{LIEBERT}.3.2.3.1"
APC_OVERLOAD, APC_OVERLOAD_CLEARED = f"{ENTERPRISES}.318.0.276", f"{ENTERPRISES}.318.0.277"
APC_TRAP_TEXT = f"{ENTERPRISES}.318.2.3.3.0"
UPS_ALARM_ADDED, UPS_ALARM_REMOVED = f"{MIB_2}.33.2.3", f"{MIB_2}.33.2.4"

LOCAL_0 = 16
CRITICAL, ERROR, WARNING, NOTICE, INFO = 2, 3, 4, 5, 6
"""Severities of RFC 5424."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a device says; without `trap` it is only a line."""

    device: str
    severity: int
    tag: str
    message: str
    trap: str = ""
    app: str = "alarm"
    rows: tuple[tuple[str, tuple[int, int | str | bytes]], ...] = ()


def notice_of(fault: Fault, *, cleared: bool) -> Notice | None:
    """Return what is said about this fault; some faults nobody notices at the device."""
    say = _SAYERS.get(fault.kind)
    return say(fault, cleared) if say else None


def syslog_line(notice: Notice, moment: datetime) -> bytes:
    """Return the line as RFC 5424 has it; HOSTNAME is the asset's name."""
    priority = LOCAL_0 * 8 + notice.severity
    stamp = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"<{priority}>1 {stamp} {notice.device} {notice.app} - {notice.tag} - {notice.message}".encode()


def _crac(
    tag: str, condition: int, broken: str, loss_at_full_size: float = 1.0
) -> Callable[[Fault, bool], Notice | None]:
    def say(fault: Fault, cleared: bool) -> Notice | None:
        if 1.0 - loss_at_full_size * fault.size > ALARM_SHARE:
            return None  # the unit itself does not notice that little
        trap = LIEBERT_REMOVED if cleared else LIEBERT_ADDED
        rows: Rows = {
            f"{LIEBERT_CONDITION}.1.{condition}": integer(condition),
            f"{LIEBERT_CONDITION}.2.{condition}": oid(f"{LIEBERT}.3.2.1.{condition}"),
            f"{LIEBERT_CONDITION}.3.{condition}": text(broken),
        }
        message = f"{broken} cleared" if cleared else broken
        return _notice(fault.asset, NOTICE if cleared else CRITICAL, tag, message, trap, rows)

    return say


def _overload(fault: Fault, cleared: bool) -> Notice:
    message = "Rack PDU: Overload condition cleared." if cleared else "Rack PDU: Overload condition."
    trap = APC_OVERLOAD_CLEARED if cleared else APC_OVERLOAD
    severity = NOTICE if cleared else CRITICAL
    return _notice(fault.asset, severity, "OVERLOAD", message, trap, {APC_TRAP_TEXT: text(message)})


def _feed(fault: Fault, cleared: bool) -> Notice:
    device = f"ups-{fault.asset.removeprefix('feed-')}"
    message = "Utility power restored" if cleared else "Utility power lost, UPS on battery"
    trap = UPS_ALARM_REMOVED if cleared else UPS_ALARM_ADDED
    rows: Rows = {f"{MIB_2}.33.1.6.2.1.1.1": integer(1), f"{MIB_2}.33.1.6.2.1.2.1": oid(ON_BATTERY_ALARM)}
    return _notice(device, NOTICE if cleared else CRITICAL, "POWER", message, trap, rows)


def _link(fault: Fault, cleared: bool) -> Notice:
    switch, _, number = fault.asset.partition(":")
    state = "up" if cleared else "down"
    rows: Rows = {
        f"{IF}.1.{number}": integer(int(number)),
        f"{IF}.7.{number}": integer(UP),
        f"{IF}.8.{number}": integer(UP if cleared else DOWN),
    }
    message = f"Line protocol on Interface Ethernet{number}, changed state to {state}"
    return _notice(
        switch, NOTICE if cleared else ERROR, "UPDOWN", message, LINK_UP if cleared else LINK_DOWN, rows
    )


def _errors(fault: Fault, cleared: bool) -> Notice:
    switch, _, number = fault.asset.partition(":")
    message = f"Interface Ethernet{number}: " + ("errors stopped" if cleared else "CRC errors rising")
    return _notice(switch, NOTICE if cleared else WARNING, "CRC", message, "", {})


def _leak(fault: Fault, cleared: bool) -> Notice | None:
    """A leak is silent; its cure is a restart."""
    return _notice(fault.asset, NOTICE, "UNIT", "worker.service: restarted", "", {}) if cleared else None


def _storm(fault: Fault, cleared: bool) -> Notice | None:
    """The storm tells of itself, line by line (`logs.py`)."""
    return _notice(fault.asset, NOTICE, "STORM", "earlier errors have ceased", "", {}) if cleared else None


def _unreachable(fault: Fault, cleared: bool) -> Notice | None:
    """Nothing is heard of a silent device; when it is back it says that it started."""
    return _notice(fault.asset, NOTICE, "START", "Agent started", COLD_START, {}) if cleared else None


def _notice(device: str, severity: int, tag: str, message: str, trap: str, rows: Rows) -> Notice:
    return Notice(device, severity, tag, message, trap, rows=tuple(rows.items()))


_SAYERS: dict[str, Callable[[Fault, bool], Notice | None]] = {
    "compressor_failure": _crac("COMPRESSOR", 4, "Compressor high head pressure, compressor locked out"),
    "fan_failure": _crac("FAN", 5, "Main fan failure, loss of air flow"),
    "clogged_filter": _crac("FILTER", 6, "Clogged air filter, change filter", CLOGGED_FLOW_LOSS),
    "phase_overload": _overload,
    "feed_loss": _feed,
    "link_down": _link,
    "link_errors": _errors,
    "memory_leak": _leak,
    "log_storm": _storm,
    "unreachable": _unreachable,
}
