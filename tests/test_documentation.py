"""The reference names everything that can be set, and every event."""

from pathlib import Path

import msgspec
import pytest

from coldaisle.agent import settings as agent
from coldaisle.core.events.codec import EVENT_TYPES
from coldaisle.integrations.host.config import HostConfig
from coldaisle.integrations.promql.config import PromqlConfig
from coldaisle.integrations.snmp.config import DeviceConfig, TrapUserConfig
from coldaisle.integrations.syslog.config import SyslogConfig
from coldaisle.server import settings as server

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
SETTINGS = (
    server.ServeSettings, server.KurrentSettings, server.DetectSettings, server.PolicySettings,
    server.LimitSettings, server.RetentionSettings,
    agent.AgentSettings, agent.AssetSettings, agent.SpoolSettings, agent.SnmpSettings, agent.TrapsSettings,
    HostConfig, PromqlConfig, SyslogConfig, DeviceConfig, TrapUserConfig,
)  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_setting_is_in_the_reference(settings: type[msgspec.Struct]) -> None:
    page = (REFERENCE / "settings.md").read_text()
    missing = [f.encode_name for f in msgspec.structs.fields(settings) if f"`{f.encode_name}`" not in page]
    assert not missing


def test_every_event_type_is_in_the_reference_with_its_fields() -> None:
    page = (REFERENCE / "events.md").read_text()
    sections = {part.split("\n", 1)[0].strip("` "): part for part in page.split("\n### ")[1:]}
    for name, kind in EVENT_TYPES.items():
        assert name in sections
        missing = [
            f.encode_name for f in msgspec.structs.fields(kind) if f"`{f.encode_name}`" not in sections[name]
        ]
        assert not missing, f"{name}: {missing}"
