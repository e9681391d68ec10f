"""What was seen: assets and their relations, samples, logs, traps, and the agents that bring them."""

from typing import Literal

from msgspec import Struct

Quality = Literal["good", "partial"]
Edge = Literal["located_in", "powered_by", "cooled_by", "connected_to", "runs_on", "depends_on", "measures"]


class AssetObserved(Struct, frozen=True, gc=False):
    """A source saw an asset, with these attributes; later observations replace them."""

    asset: str
    kind: str
    attributes: dict[str, str] = {}
    source: str = ""


class AssetLinked(Struct, frozen=True, gc=False):
    """``asset`` relates to ``target``: it is located in, powered by, cooled by … the target.

    ``group`` and ``need`` state redundancy: of the links in one group, ``need`` must be up.
    """

    asset: str
    edge: Edge
    target: str
    group: str = ""
    need: int = 1
    source: str = ""


class AssetRemoved(Struct, frozen=True, gc=False):
    """An asset left the data center."""

    asset: str
    reason: str = ""


class DeviceReached(Struct, frozen=True, gc=False):
    """A device answers (again)."""

    asset: str
    address: str
    agent: str


class DeviceLost(Struct, frozen=True, gc=False):
    """A device stopped answering."""

    asset: str
    address: str
    agent: str
    reason: str


class SamplesRecorded(Struct, frozen=True, gc=False):
    """The values of one asset at one moment, in columns; None where a value was not available.

    Metric names follow Prometheus and OpenTelemetry, unit last: ``inlet_temperature_celsius``,
    ``if_in_octets_total{interface="eth0"}``.
    """

    asset: str
    metrics: tuple[str, ...]
    values: tuple[float | None, ...]
    quality: Quality = "good"


class LogLine(Struct, frozen=True, gc=False):
    """One line; ``severity`` is syslog's number, 0 (emergency) to 7 (debug); ``time`` is UTC ns."""

    time: int
    severity: int
    app: str
    message: str


class LogLinesRecorded(Struct, frozen=True, gc=False):
    """Lines that an asset logged."""

    asset: str
    lines: tuple[LogLine, ...]
    source: str = ""


class LogTemplateAdded(Struct, frozen=True, gc=False):
    """A kind of line was seen for the first time, on ``asset``; ``text`` has ``<*>`` for what varies."""

    template: str
    program: str
    text: str
    asset: str
    severity: int
    example: str = ""


class LogTemplateGeneralised(Struct, frozen=True, gc=False):
    """A line fits a template but for a word: ``text`` has a wildcard more from here on."""

    template: str
    text: str


class LogTemplateRetired(Struct, frozen=True, gc=False):
    """A template is followed no longer; a line like it founds another one."""

    template: str
    reason: str


class TrapReceived(Struct, frozen=True, gc=False):
    """An SNMP notification: its trap OID and its varbinds as (OID, value text)."""

    asset: str
    trap_oid: str
    varbinds: tuple[tuple[str, str], ...] = ()
    source_address: str = ""


class GapRecorded(Struct, frozen=True, gc=False):
    """Observations were lost between two moments (UTC ns): what, how many and why."""

    source: str
    since: int
    until: int
    lost_count: int
    reason: str


class InputRejected(Struct, frozen=True, gc=False):
    """Something arrived that could not be understood; ``raw`` keeps it, cut at the stated bound."""

    source: str
    reason: str
    raw: str


class AgentStarted(Struct, frozen=True, gc=False):
    """An agent process began to collect."""

    agent: str
    host: str
    agent_version: str
    collectors: tuple[str, ...] = ()


class AgentConnected(Struct, frozen=True, gc=False):
    """An agent opened its stream to the server."""

    agent: str
    address: str


class AgentDisconnected(Struct, frozen=True, gc=False):
    """An agent's stream ended."""

    agent: str
    reason: str


class ServerStarted(Struct, frozen=True, gc=False):
    """A server began to listen: of the time before, silence says nothing."""

    host: str
    server_version: str
