"""The spool on a real disk: numbering, bounds, crashes and damage."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coldaisle.agent.batches import Bounds, events_of
from coldaisle.agent.errors import SpoolUnwritable
from coldaisle.agent.spool import Spool
from coldaisle.core.errors import ConfigError
from coldaisle.core.events.codec import parse_body
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.ids import sequence_of
from coldaisle.core.events.types import AnyEvent, AssetObserved, GapRecorded, InputRejected, SamplesRecorded

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
_CRASHES = 20 if os.environ.get("COLDAISLE_SOAK") else 5


def sample(number: int, metric: str = "power_watts") -> Observation:
    return Observation(NOW + number * SECOND, SamplesRecorded("rack-1", (metric,), (float(number),)))


def fact(number: int) -> Observation:
    return Observation(NOW + number * SECOND, AssetObserved(f"rack-{number}", "rack"))


def spool(path: Path, max_bytes: int = 10**8, max_events: int = 1000) -> Spool:
    return Spool(path / "spool.db", "edge", max_bytes, Bounds(max_events))


def sequences(opened: Spool) -> list[int]:
    return [sequence_of(e.id) for batch in opened.peek(0, 10**6) for e in events_of(batch.payload)]


def bodies(opened: Spool) -> list[AnyEvent]:
    events = [e for batch in opened.peek(0, 10**6) for e in events_of(batch.payload)]
    return [parse_body(event.type, event.data) for event in events]


def gaps(opened: Spool) -> list[GapRecorded]:
    return [body for body in bodies(opened) if isinstance(body, GapRecorded)]


def test_events_are_numbered_without_a_hole_over_a_restart(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([sample(1), fact(2), sample(3)])
    with spool(tmp_path) as opened:
        opened.append([sample(4)])
        assert sequences(opened) == [1, 2, 3, 4]


def test_a_file_with_pages_of_another_size_is_used_on(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.db") as old:
        old.execute("PRAGMA page_size = 4096")
        old.execute("CREATE TABLE of_before (one INTEGER)")
    old.close()
    for number in (1, 2):
        with spool(tmp_path) as opened:
            opened.append([sample(number)])
    with spool(tmp_path) as opened:
        assert sequences(opened) == [1, 2]
    with sqlite3.connect(tmp_path / "spool.db") as kept:
        assert kept.execute("PRAGMA page_size").fetchone() == (4096,)
    kept.close()


def test_numbers_go_on_after_everything_was_sent(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([sample(1)])
        [batch] = opened.peek(0, 10)
        opened.delete(batch.id)
        assert opened.size().events == 0
    with spool(tmp_path) as opened:
        opened.append([sample(2)])
        [again] = opened.peek(0, 10)
        assert again.id > batch.id
        assert sequences(opened) == [2]


def test_a_batch_is_the_same_to_the_byte_after_a_restart(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([sample(number) for number in range(5)])
        before = opened.peek(0, 10)
    with spool(tmp_path) as opened:
        opened.append([sample(6)])
        assert opened.peek(0, 1) == before


def test_batches_are_bounded_by_events_and_by_bytes(tmp_path: Path) -> None:
    with spool(tmp_path, max_events=3) as opened:
        opened.append([sample(number) for number in range(7)])
        assert [batch.event_count for batch in opened.peek(0, 10)] == [3, 3, 1]
        opened.respect(max_events=0, max_bytes=150)
        opened.append([sample(number) for number in range(3)])
        assert [batch.event_count for batch in opened.peek(3, 10)] == [1, 1, 1]


def test_an_event_over_the_bound_is_kept_as_rejected_input(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([sample(1, "m" * 2_000_000)])
        [body] = bodies(opened)
        assert isinstance(body, InputRejected)
        assert "over the bound" in body.reason


def test_an_observation_that_the_wire_cannot_hold_costs_no_other(tmp_path: Path) -> None:
    late, early = (Observation(time, sample(1).body) for time in (1 << 63, -(1 << 63) - 1))
    with spool(tmp_path) as opened:
        opened.append([late, sample(2, "half a pair: \ud800"), early, sample(3)])
        kept = bodies(opened)
    assert [type(body) for body in kept] == [SamplesRecorded, InputRejected, SamplesRecorded, SamplesRecorded]
    assert isinstance(kept[1], InputRejected)
    assert "surrogates" in kept[1].reason


def test_a_full_spool_drops_the_oldest_telemetry_and_says_how_much(tmp_path: Path) -> None:
    with spool(tmp_path, max_bytes=20_000, max_events=10) as opened:
        opened.append([fact(number) for number in range(10)])
        for number in range(100):
            opened.append([sample(number * 10 + offset) for offset in range(10)])
        found = bodies(opened)
        [gap] = gaps(opened)
        kept = [body for body in found if isinstance(body, SamplesRecorded)]
        assert gap.lost_count + len(kept) == 1000
        assert gap.lost_count > 0
        assert (gap.since, gap.until) == (NOW, NOW + (gap.lost_count - 1) * SECOND)
        assert len([body for body in found if isinstance(body, AssetObserved)]) == 10
        assert opened.size().bytes <= 20_000
        assert len(found) == opened.size().events


def test_facts_go_last(tmp_path: Path) -> None:
    with spool(tmp_path, max_bytes=2000, max_events=1) as opened:
        for number in range(50):
            opened.append([fact(number)])
        [gap] = gaps(opened)
        assert gap.lost_count + len([b for b in bodies(opened) if isinstance(b, AssetObserved)]) == 50


def test_what_was_handed_out_is_not_dropped_and_a_new_gap_follows(tmp_path: Path) -> None:
    with spool(tmp_path, max_bytes=3000, max_events=1) as opened:
        for number in range(40):
            opened.append([sample(number)])
        sent = opened.peek(0, 1000)
        for number in range(40, 80):
            opened.append([sample(number)])
        assert opened.peek(0, len(sent)) == sent
        kept = len([body for body in bodies(opened) if isinstance(body, SamplesRecorded)])
        assert sum(gap.lost_count for gap in gaps(opened)) + kept == 80
        assert len(gaps(opened)) == 2


def test_a_locked_spool_writes_nothing_and_says_so(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([sample(1)])
        other = sqlite3.connect(opened.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolUnwritable):
            opened.append([sample(2)])
        [batch] = opened.peek(0, 10)
        opened.delete(batch.id)
        assert opened.peek(0, 10) == []
        other.execute("ROLLBACK")
        other.close()
        opened.append([sample(3)])
        assert sequences(opened) == [2]
        opened.delete(opened.peek(0, 10)[0].id)
        assert opened.size().events == 0


@pytest.mark.parametrize(
    "content", [b"this is no database", b"SQLite format 3\0" + b"\xff" * 8000], ids=["text", "torn"]
)
def test_an_unreadable_spool_is_moved_aside_and_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    with spool(tmp_path) as opened:
        [gap] = gaps(opened)
        assert str(tmp_path / "spool.db.unreadable-1") in gap.reason
    assert (tmp_path / "spool.db.unreadable-1").read_bytes() == content


def test_a_second_unreadable_spool_does_not_overwrite_the_first(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "spool.db").write_text(f"damage {number}")
        for companion in ("spool.db-wal", "spool.db-shm"):
            (tmp_path / companion).unlink(missing_ok=True)
        with spool(tmp_path):
            pass
    assert [(tmp_path / f"spool.db.unreadable-{n}").read_text() for n in (1, 2)] == ["damage 1", "damage 2"]


def test_damage_inside_the_file_is_found_at_the_start(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        for number in range(200):
            opened.append([sample(number)])
    damaged = bytearray((tmp_path / "spool.db").read_bytes())
    damaged[8192:16384] = os.urandom(8192)
    (tmp_path / "spool.db").write_bytes(damaged)
    with spool(tmp_path) as opened:
        assert len(gaps(opened)) == 1


def test_what_could_not_be_deleted_hides_nothing_and_is_deleted_in_runs(
    small_disk: Path, fill_disk: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with spool(small_disk, max_events=1) as opened:
        opened.append([sample(number) for number in range(200)])
        ballast = fill_disk(small_disk)
        for acknowledged in range(1, 151):
            opened.delete(acknowledged)
        assert opened.size().events == 200
        assert len(caplog.records) == 1
        assert [batch.id for batch in opened.peek(0, 2)] == [151, 152]
        ballast.unlink()
        left = []
        for acknowledged in (151, 152, 153):
            opened.delete(acknowledged)
            left.append(opened.size().events)
        assert left == [136, 72, 47]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_spool_is_opened_also_on_a_full_disk(
    small_disk: Path, fill_disk: Callable[[Path], Path], is_killed: bool
) -> None:
    with spool(small_disk, max_events=1) as opened:
        opened.append([sample(number) for number in range(5)])
        files = {path: path.read_bytes() for path in small_disk.iterdir()}
    if is_killed:
        for path, content in files.items():
            path.write_bytes(content)
        (small_disk / "spool.db-shm").unlink()
    ballast = fill_disk(small_disk)
    with spool(small_disk, max_events=1) as opened:
        assert sequences(opened) == [1, 2, 3, 4, 5]
        with pytest.raises(SpoolUnwritable):
            opened.append([sample(number) for number in range(500)])
        ballast.unlink()
        opened.append([sample(6)])
        opened.delete(1)
        assert sequences(opened) == [2, 3, 4, 5, 6]


def test_a_spool_belongs_to_one_agent_at_a_time(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        with pytest.raises(ConfigError, match=r"another agent runs.*agent\.data_dir"), spool(tmp_path):
            pass
        opened.append([sample(1)])
    with spool(tmp_path) as opened:
        assert sequences(opened) == [1]


def test_a_bound_that_cannot_be_one_is_none(tmp_path: Path) -> None:
    with spool(tmp_path, max_events=3) as opened:
        opened.respect(max_events=-1, max_bytes=-1)
        assert opened.bounds == Bounds(3)


def test_the_ids_of_a_new_spool_differ_from_those_of_the_one_moved_aside(tmp_path: Path) -> None:
    ids = set()
    for _ in range(2):
        with spool(tmp_path) as opened:
            opened.append([sample(1)])
            ids |= {event.id for batch in opened.peek(0, 10) for event in events_of(batch.payload)}
        (tmp_path / "spool.db").unlink()
    assert len(ids) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool.db").mkdir()
    with pytest.raises(ConfigError, match=r"spool\.db.*agent\.data_dir"), spool(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match=r"file.*agent\.data_dir"), spool(tmp_path / "file"):
        pass


_WRITER = """
import sys
from pathlib import Path
from coldaisle.agent.batches import Bounds
from coldaisle.agent.spool import Spool
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import SamplesRecorded
number = int(sys.argv[2])
with Spool(Path(sys.argv[1]), "edge", 10**9, Bounds(7)) as spool:
    while True:
        values = range(number, number + 10)
        spool.append([Observation(n, SamplesRecorded("a", ("m",), (float(n),))) for n in values])
        number += 10
        print(number, flush=True)
"""


def test_a_killed_agent_loses_nothing_that_was_committed_and_numbers_run_on(tmp_path: Path) -> None:
    path, number = tmp_path / "spool.db", 0
    for crash in range(_CRASHES):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        committed = [int(process.stdout.readline()) for _ in range(20 + crash)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        said = max([*committed, *map(int, rest)])
        with spool(tmp_path) as opened:
            values = [body.values[0] for body in bodies(opened) if isinstance(body, SamplesRecorded)]
            # The last append may have committed without being able to say so.
            assert len(values) in {said, said + 10}
            assert values == [float(value) for value in range(len(values))]
            assert sequences(opened) == list(range(1, len(values) + 1))
            number = len(values)


def test_what_may_wait_is_known_without_the_disk(tmp_path: Path) -> None:
    with spool(tmp_path) as first:
        assert not first.has_beyond(0)
        first.append([sample(1)])
        assert first.has_beyond(0)
        [batch] = first.peek(0, 10)
        assert not first.has_beyond(batch.id)
    with spool(tmp_path) as again:
        assert again.has_beyond(0)
        again.delete(batch.id)
        again.append([sample(2)])
        assert again.has_beyond(batch.id)
