"""The agent's settings, as the file states them. Each field's line is in the settings reference."""

from typing import Annotated

from msgspec import Meta, Struct

from coldaisle.integrations.host.config import HostConfig
from coldaisle.integrations.promql.config import PromqlConfig
from coldaisle.integrations.snmp.config import TrapUserConfig
from coldaisle.integrations.syslog.config import SyslogConfig

Seconds = Annotated[float, Meta(gt=0, le=3600)]
# An id is a path segment in the API and part of a stream's name in the store.
ResourceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]


class AgentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[agent]``: who this agent is and whom it reports to. Paths are relative to the file."""

    name: ResourceId
    server: str = "127.0.0.1:7443"
    token_file: str = ""
    data_dir: str = "agent-data"
    inventory: tuple[str, ...] = ()
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    stop_seconds: Seconds = 10.0
    self_seconds: Seconds = 30.0


class SpoolSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[spool]``: how much waits on disk while the server is away, and how it is cut."""

    max_bytes: Annotated[int, Meta(ge=65_536)] = 268_435_456
    max_batch_events: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    flush_seconds: Annotated[float, Meta(gt=0, le=60)] = 0.2


class TrapsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[traps]``: where SNMP notifications are received, as ``host:port``; empty: nowhere.

    ``users`` are those of version 3; ``engine_file`` keeps our engine id and boots, which informs need.
    """

    udp: str = ""
    users: tuple[TrapUserConfig, ...] = ()
    engine_file: str = ""


class SnmpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[snmp]``: the interval of devices that state none of their own, and a folder of own profiles."""

    poll_seconds: Seconds = 10.0
    profiles: str = ""


class FileSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    agent: AgentSettings
    spool: SpoolSettings = SpoolSettings()
    host: HostConfig = HostConfig()
    syslog: SyslogConfig = SyslogConfig()
    traps: TrapsSettings = TrapsSettings()
    snmp: SnmpSettings = SnmpSettings()
    prometheus: tuple[PromqlConfig, ...] = ()


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """A relation to another asset; of the links of one ``group``, ``need`` must be up."""

    asset: ResourceId
    group: str = ""
    need: Annotated[int, Meta(ge=1)] = 1


Links = tuple[ResourceId | Link, ...]


class AssetSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[[assets]]`` of an inventory file."""

    name: ResourceId
    kind: Annotated[str, Meta(min_length=1)]
    attributes: dict[str, str] = {}
    located_in: str = ""
    powered_by: Links = ()
    cooled_by: Links = ()
    connected_to: Links = ()
    runs_on: Links = ()
    depends_on: Links = ()
