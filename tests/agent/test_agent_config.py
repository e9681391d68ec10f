"""Configuration: what is accepted, and that each fault is named with its place."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from coldaisle.agent.collectors import collectors_of
from coldaisle.agent.commands import agent
from coldaisle.agent.config import AgentConfig, load_config
from coldaisle.agent.inventory import inventory_events, inventory_news
from coldaisle.agent.settings import AssetSettings
from coldaisle.core.errors import ConfigError
from coldaisle.core.events.types import AssetLinked, AssetObserved
from coldaisle.integrations.host.collect import host_asset
from coldaisle.integrations.snmp import ProfileError

MINIMAL = '[agent]\nname = "edge-1"\n'
WHOLE = """
[agent]
name = "edge-1"
server = "127.0.0.1:7443"
token_file = "token"
data_dir = "data"
inventory = ["hall/inventory.toml"]
[spool]
max_bytes = 1000000
max_batch_events = 10
flush_seconds = 0.1
[host]
enabled = true
poll_seconds = 10
[syslog]
udp = "127.0.0.1:5514"
tcp = "[::1]:5514"
[traps]
udp = "0.0.0.0:1162"
[snmp]
poll_seconds = 5
[[prometheus]]
name = "cloud"
url = "http://127.0.0.1:9090"
queries = [{ metric = "up", query = "up", asset_label = "instance" }]
"""
INVENTORY = """
[[assets]]
name = "row-a"
kind = "row"
[[assets]]
name = "rack-a01"
kind = "rack"
attributes = { height_units = "42" }
located_in = "row-a"
powered_by = [{ asset = "pdu-1", group = "feeds", need = 1 }, "pdu-2"]
cooled_by = ["crac-1"]
[[assets]]
name = "pdu-1"
kind = "pdu"
[[assets]]
name = "pdu-2"
kind = "pdu"
[[devices]]
asset = "crac-1"
address = "127.0.0.1:1161"
read_community_file = "secrets/read"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hall").mkdir()
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "agent.toml").write_text(WHOLE)
    (tmp_path / "hall" / "inventory.toml").write_text(INVENTORY)
    return tmp_path


def load(folder: Path) -> AgentConfig:
    return load_config(folder / "agent.toml")


def test_a_minimal_file_has_all_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(MINIMAL)
    config = load(tmp_path)
    assert config.agent.server == "127.0.0.1:7443"
    assert (config.spool.max_bytes, config.spool.max_batch_events, config.spool.flush_seconds) == (
        2**28,
        1000,
        0.2,
    )
    assert config.host.enabled
    assert config.known_assets == {host_asset(socket.gethostname())}


def test_paths_are_relative_to_the_file_that_states_them(folder: Path) -> None:
    config = load(folder)
    [device] = config.devices
    assert device.read_community_file == str(folder / "hall" / "secrets" / "read")
    assert config.path(config.agent.data_dir) == folder / "data"


def test_the_inventory_becomes_events_with_redundancy(folder: Path) -> None:
    events = inventory_events(load(folder).assets)
    assert AssetObserved("rack-a01", "rack", {"height_units": "42"}, "inventory") in events
    assert [event for event in events if isinstance(event, AssetLinked)] == [
        AssetLinked("rack-a01", "located_in", "row-a", "", 1, "inventory"),
        AssetLinked("rack-a01", "powered_by", "pdu-1", "feeds", 1, "inventory"),
        AssetLinked("rack-a01", "powered_by", "pdu-2", "", 1, "inventory"),
        AssetLinked("rack-a01", "cooled_by", "crac-1", "", 1, "inventory"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("max_bytes = 1000000", 'max_bytes = "big"', r"spool\.max_bytes = 'big': expected `int`"),
        ("max_bytes = 1000000", "max_bytes = 5", r"spool\.max_bytes = 5: .*>= 65536"),
        ("flush_seconds = 0.1", "flush = 0.1", r"spool: unknown key `flush`; remove"),
        ("poll_seconds = 5", "poll_seconds = 0", r"snmp\.poll_seconds = 0"),
        ('name = "edge-1"', 'name = "edge 1"', r"agent\.name = 'edge 1'"),
        ('name = "edge-1"', "", r"agent: missing key `name`; add it"),
        ("[traps]", "[trap]", r"top level: unknown key `trap`"),
        ("[traps]", "[traps", r"agent\.toml: not TOML: .*line 18"),
        (
            'server = "127.0.0.1:7443"',
            'server = "127.0.0.1"',
            r"agent\.server = '127\.0\.0\.1': expected host:port",
        ),
        ('server = "127.0.0.1:7443"', 'server = "10.0.0.1:7443"', r"agent\.server .*TLS; set agent\.ca_file"),
        (
            'udp = "127.0.0.1:5514"',
            'udp = "127.0.0.1:x"',
            r"syslog\.udp = '127\.0\.0\.1:x': 'x' is not a port",
        ),
        ('tcp = "[::1]:5514"', 'tcp = "::1:5514"', r"syslog\.tcp .*brackets"),
        ('udp = "0.0.0.0:1162"', 'udp = "0.0.0.0:99999"', r"traps\.udp .*not a port"),
        ('token_file = "token"', 'token_file = "none"', r"agent\.token_file = 'none': no such file"),
        ("hall/inventory.toml", "hall/none.toml", r"none\.toml: cannot be read"),
        (
            'asset_label = "instance"',
            'asset = ""',
            r"prometheus\[0\]\.queries\[0\].*exactly one of asset and asset_label",
        ),
        ("http://127", "file://127", r"prometheus\[0\]\.url = 'file://"),
    ],
)
def test_a_fault_in_the_settings_is_named(folder: Path, old: str, new: str, named: str) -> None:
    assert old in WHOLE
    (folder / "agent.toml").write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=named):
        load(folder)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            'name = "row-a"',
            'name = "pdu-1"',
            r"assets\[2\]\.name = 'pdu-1': already named at .*assets\[0\]\.name",
        ),
        (
            'located_in = "row-a"',
            'located_in = "row-z"',
            r"assets\[1\]\.located_in = 'row-z' of 'rack-a01': no such",
        ),
        ('"pdu-2"]', '"pdu-9"]', r"assets\[1\]\.powered_by = 'pdu-9'"),
        ('["crac-1"]', '"crac-1"', r"assets\[1\]\.cooled_by = 'crac-1': expected `array`"),
        ("need = 1", "need = 0", r"assets\[1\]\.powered_by\[0\]\.need"),
        ('"127.0.0.1:1161"', '"127.0.0.1:port"', r"devices\[0\]\.address: '127\.0\.0\.1:port'"),
        ('"127.0.0.1:1161"', '"a b"', r"devices\[0\]\.address = 'a b'"),
        ("[[devices]]", "[[device]]", r"unknown key `device`"),
    ],
)
def test_a_fault_in_the_inventory_is_named(folder: Path, old: str, new: str, named: str) -> None:
    assert old in INVENTORY
    (folder / "hall" / "inventory.toml").write_text(INVENTORY.replace(old, new, 1))
    with pytest.raises(ConfigError, match=rf"inventory\.toml: .*{named}"):
        load(folder)


def test_what_a_large_inventory_says_anew_is_found_without_comparing_all_with_all() -> None:
    """A hundred thousand events: pair by pair this takes many minutes, in which the agent stands still."""
    links = ("pdu-1", "pdu-2", "pdu-3", "pdu-4")
    assets = [AssetSettings(f"host-{n}", "server", {"n": str(n)}, powered_by=links) for n in range(20_000)]
    changed = AssetSettings("host-7", "server", {"n": "another"}, powered_by=("pdu-1", "pdu-5"))
    assert inventory_news(assets, [*assets[:7], changed, *assets[8:]]) == [
        AssetObserved("host-7", "server", {"n": "another"}, "inventory"),
        AssetLinked("host-7", "powered_by", "pdu-5", "", 1, "inventory"),
    ]


def test_check_prints_what_would_be_collected(folder: Path) -> None:
    words = ["check", "--no-contact", "--config", str(folder / "agent.toml")]
    result = CliRunner().invoke(agent, words)
    assert result.exit_code == 0, result.output
    for said in (
        "host: this machine",
        "syslog: udp",
        "syslog: tcp",
        "snmp: 1 devices",
        "traps",
        "cloud, 1 queries",
    ):
        assert said in result.output


def test_check_fails_with_the_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[agent]\n")
    result = CliRunner().invoke(agent, ["check", "--config", str(tmp_path / "agent.toml")])
    assert result.exit_code == 1
    assert "missing key `name`" in result.output


def test_a_site_s_profiles_are_known_to_collectors_and_a_missing_folder_is_named(tmp_path):
    file = tmp_path / "agent.toml"
    file.write_text(f'{MINIMAL}inventory = ["i.toml"]\n[snmp]\nprofiles = "own"\n')
    (tmp_path / "i.toml").write_text(
        '[[devices]]\nasset = "pdu-1"\naddress = "127.0.0.1:1161"\nprofile = "mine"\n'
    )
    with pytest.raises(ProfileError, match="own is no folder"):
        collectors_of(load_config(file))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text("name = 'mine'\nkind = 'pdu'\nextends = ['apc_rpdu2']")
    assert "snmp" in [collector.name for collector in collectors_of(load_config(file))]
