"""The host collector against this machine."""

import asyncio
import logging
from pathlib import Path

import pytest

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import AssetObserved, SamplesRecorded
from coldaisle.integrations.host import HostCollector
from coldaisle.integrations.host.collect import KernelFiles


async def collect(collector: HostCollector, count: int) -> list[Observation]:
    seen: asyncio.Queue[Observation] = asyncio.Queue()
    task = asyncio.create_task(collector.run(seen.put))
    try:
        return [await seen.get() for _ in range(count)]
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_this_machine_is_described_and_then_measured() -> None:
    described, first, second = await collect(HostCollector(0.1), 3)
    assert isinstance(described.body, AssetObserved)
    assert isinstance(first.body, SamplesRecorded)
    assert isinstance(second.body, SamplesRecorded)
    assert described.body.asset == first.body.asset
    found = dict(zip(second.body.metrics, second.body.values, strict=True))
    assert 0 < (found["memory_used_ratio"] or 0) < 1
    assert (found['filesystem_size_bytes{mount="/"}'] or 0) > 0
    utilization = found["cpu_utilization_ratio"]
    assert utilization is None or 0 <= utilization <= 1
    assert second.time > first.time


async def test_a_machine_without_kernel_files_still_is_described(tmp_path: Path) -> None:
    [described] = await collect(HostCollector(0.1, "host-other", root=tmp_path), 1)
    assert isinstance(described.body, AssetObserved)
    assert described.body.attributes["os"]


def test_a_missing_file_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = KernelFiles(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [files.read("proc/stat") for _ in range(3)] == ["", "", ""]
    assert [record.message for record in caplog.records] == ["host source missing"]


def test_a_file_that_could_not_be_read_is_read_again_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is a real one: a folder can be opened and not be read."""
    sensor = tmp_path / "temp1_input"
    sensor.mkdir()
    files = KernelFiles(tmp_path)
    assert [files.read("temp1_input") for _ in range(2)] == ["", ""]
    sensor.rmdir()
    sensor.write_text("42000")
    assert files.read("temp1_input") == "42000"
    assert len(caplog.records) == 1
    files.close()


def test_a_file_is_read_anew_through_its_open_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_text("1")
    files = KernelFiles(tmp_path)
    assert files.read("counter") == "1"
    path.write_text("22")
    assert files.read("counter") == "22"
    files.close()


def test_a_file_longer_than_one_read_is_whole(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 200_000)
    files = KernelFiles(tmp_path)
    assert len(files.read("long")) == 200_000
    files.close()
