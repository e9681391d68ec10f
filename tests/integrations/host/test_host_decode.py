"""Kernel text to values, over a recorded tree of a two-socket server."""

from pathlib import Path

import pytest

from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.host import decode
from coldaisle.integrations.host.collect import HostCollector, host_asset

GOLDEN = Path(__file__).parent / "golden"


def values(samples: list[decode.Sample]) -> dict[str, float | None]:
    return dict(samples)


def test_a_recorded_machine_gives_these_values() -> None:
    collector = HostCollector(10, "host-golden", root=GOLDEN)
    collector.describe()
    found = values([s for s in collector.sample() if not s[0].startswith("filesystem_")])
    assert found["cpu_utilization_ratio"] is None
    assert found['cpu_seconds_total{mode="user"}'] == 31.29
    assert found["load_15m"] == 0.31
    assert found["memory_total_bytes"] == 24_684_084 * 1024
    assert found["memory_used_ratio"] == pytest.approx(1 - 24_368_220 / 24_684_084)
    assert found["swap_used_bytes"] == 1024 * 1024
    assert found['disk_read_bytes_total{device="vda"}'] == 2048 * 512
    assert found['disk_busy_seconds_total{device="vda"}'] == 1.5
    assert found['network_receive_bytes_total{interface="eth0"}'] == 307_585_283
    assert found['network_transmit_drops_total{interface="eth0"}'] == 7
    assert found['temperature_celsius{sensor="coretemp Package id 0"}'] == 47.5
    assert found["uptime_seconds"] == 4242.5
    assert not [name for name in found if "loop0" in name or '"lo"' in name]


def test_the_machine_is_described_from_its_files() -> None:
    observed = HostCollector(10, "host-golden", root=GOLDEN).describe()
    assert observed.kind == "host"
    assert observed.attributes["cpu_model"] == "AMD EPYC"
    assert observed.attributes["cpu_cores"] == "2"
    assert observed.attributes["os"] == "Debian GNU/Linux 12 (bookworm)"


def test_utilization_is_the_share_that_was_not_idle() -> None:
    before = {"user": 100, "idle": 100, "iowait": 10}
    assert decode.utilization({"user": 125, "idle": 170, "iowait": 15}, before) == 0.25


def test_idle_time_that_went_backwards_counts_as_none() -> None:
    assert decode.utilization({"user": 10, "idle": 90}, {"user": 0, "idle": 100}) == 1.0


def test_no_time_between_two_readings_gives_no_utilization() -> None:
    assert decode.utilization({"user": 1, "idle": 1}, {"user": 1, "idle": 1}) is None


def test_a_mount_point_with_a_space_is_unescaped() -> None:
    mounts = (
        "/dev/sda1 /mnt/old\\040disk ext4 rw 0 0\n/dev/sda1 /again ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    )
    assert decode.mount_points(mounts) == ["/mnt/old disk"]


def test_a_quote_in_a_label_is_escaped() -> None:
    sample = decode.temperature_sample('odd "name"', "1000\n")
    assert sample == ('temperature_celsius{sensor="odd \\"name\\""}', 1.0)


def test_a_sensor_without_a_number_gives_nothing() -> None:
    assert decode.temperature_sample("broken", "") is None


@pytest.mark.parametrize(
    "parse",
    [
        decode.load_samples,
        decode.memory_samples,
        decode.disk_samples,
        decode.network_samples,
        decode.uptime_samples,
    ],
)
def test_an_empty_file_gives_no_samples(parse: object) -> None:
    assert callable(parse)
    assert parse("") == []


def test_host_assets_are_named_by_the_short_hostname() -> None:
    assert host_asset("Web_01.example.com") == "host-web-01"


def test_columns_keep_the_order() -> None:
    names, found = decode.columns([("a", 1.0), ("b", None)])
    assert SamplesRecorded("x", names, found).metrics == ("a", "b")
