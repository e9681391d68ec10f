"""The server with the store's options: chained, encrypted, and served to KurrentDB's clients."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from coldaisle.core.errors import ChainKeyUnusable, ConfigError
from coldaisle.core.events import NewEvent, sequenced_id
from coldaisle.core.events.types import AssetObserved, DeviceLost
from coldaisle.core.store.chain_keys import load_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.cipher import new_store_key
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent.serve import kurrent_server
from coldaisle.server.kurrent.settings import KurrentSettings
from coldaisle.server.opening import own_runner_name
from coldaisle.server.settings import load_settings
from coldaisle.server.store_options import STORE_FILE
from coldaisle.v1 import system_pb2


def coldaisle(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coldaisle.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_what_the_server_appends_is_chained(data, serving, agent_of) -> None:
    async with serving(data) as api:
        agent = agent_of(api)
        await agent.hello()
        await agent.report(AssetObserved("rack-1", "rack"))
    keys = load_chain_keys(data / "chain.key")
    assert (data / "chain.key").stat().st_mode & 0o077 == 0
    async with SqliteStore(data / STORE_FILE, read_only=True) as store:
        assert (await verify_chain(store, keys)).fault is None
    assert coldaisle("history", "verify", "--data", str(data)).returncode == 0


async def test_an_encrypted_history_needs_its_key(data, serving, tmp_path: Path) -> None:
    key_file = tmp_path / "store.key"
    key_file.write_text(new_store_key().hex + "\n")
    async with serving(data, store_key_file=str(key_file)) as api:
        await api.events()
    assert b"SQLite format 3" not in (data / STORE_FILE).read_bytes()[:16]
    without = coldaisle("verify", "--data", str(data))
    assert without.returncode == 1
    assert "key" in without.stderr
    with_key = coldaisle("verify", "--data", str(data), "--key-file", str(key_file))
    assert (with_key.returncode, with_key.stderr) == (0, "")


@pytest.mark.parametrize("words", ["verify --data {}", "store copy {} there.db", "history verify --data {}"])
def test_a_store_that_is_not_there_is_not_found(words: str, tmp_path: Path) -> None:
    done = coldaisle(*words.format(tmp_path / "nowhere").split())
    assert (done.returncode, "there is no store" in done.stderr) == (3, True)


@pytest.mark.parametrize("words", ["store info --data {}", "store restore {}", "history keys new --data {}"])
def test_a_path_that_cannot_be_is_said(words: str, tmp_path: Path) -> None:
    done = coldaisle(*words.format(tmp_path / ("x" * 300)).split())
    assert done.returncode == 1
    assert "File name too long" in done.stderr
    assert "report it" not in done.stderr


async def test_no_key_is_made_for_a_history_that_has_a_chain(data, serving, tmp_path: Path) -> None:
    """As for a backup that was restored without its key: a fresh one beside it would pass for its own."""
    async with serving(data):
        pass
    key_file = data / "chain.key"
    key_file.rename(tmp_path / "kept.key")
    with pytest.raises(ChainKeyUnusable, match=r"chain.key: cannot be read \(No such file"):
        async with serving(data):
            pass
    assert not key_file.exists()
    (tmp_path / "kept.key").rename(key_file)
    async with serving(data) as api:
        await api.events()


async def test_kurrent_s_client_reads_the_server_s_history(data, serving, agent_of, free_port) -> None:
    kurrent = pytest.importorskip("kurrentdbclient", reason="the extra `kurrent` is not installed")
    async with serving(data, kurrent=f"127.0.0.1:{free_port}") as api:
        agent = agent_of(api)
        await agent.hello()
        await agent.report(AssetObserved("rack-1", "rack", {"ashrae_class": "A2"}))
        client = kurrent.AsyncKurrentDBClient(uri=f"kurrentdb://127.0.0.1:{free_port}?Tls=false")
        (event,) = [event async for event in await client.read_stream("asset-rack-1")]
        assert (event.type, b'"ashrae_class":"A2"' in event.data) == ("AssetObserved", True)
        with pytest.raises(kurrent.exceptions.KurrentDBClientError):
            await client.append_to_stream(
                "asset-rack-1",
                events=[kurrent.NewEvent("Forged", b"{}")],
                current_version=kurrent.StreamState.ANY,
            )
        await client.close()


async def test_the_same_server_works_on_a_cluster_by_its_url(data, serving, agent_of, tmp_path: Path) -> None:
    """The other side is the embedded store behind its own wire; no cluster can run here."""
    pytest.importorskip("kurrentdbclient", reason="the extra `kurrent` is not installed")
    settings = KurrentSettings(allow_writes=True)
    async with (
        SqliteStore(tmp_path / "cluster.db") as cluster,
        kurrent_server(cluster, "127.0.0.1", 0, settings) as port,
    ):
        async with serving(data, store=f"kurrentdb://127.0.0.1:{port}?Tls=false") as api:
            agent = agent_of(api)
            await agent.hello()
            await agent.report(
                AssetObserved("rack-1", "rack"), DeviceLost("rack-1", "x:161", "hall", "silent")
            )
            (opened,) = await api.event("AlertOpened")
            assert opened.actor == "reactor/detector"
            status = await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())
            assert status.store.startswith("kurrentdb://127.0.0.1:")
        assert not (data / STORE_FILE).exists()
        types = [event.type for event in (await cluster.read_all()).events]
        assert {"AssetObserved", "AlertOpened", "PlaybookPublished"} <= set(types)
        async with serving(data, store=f"kurrentdb://127.0.0.1:{port}?Tls=false") as api:
            (again,) = await api.events("AlertOpened")
            assert again.id == opened.id


def test_servers_on_a_cluster_have_names_of_their_own_that_stay_with_their_folders(tmp_path: Path) -> None:
    """Two of one name took each step twice."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    with own_runner_name(one) as first, own_runner_name(other) as second:
        assert first != second
        with (
            pytest.raises(ConfigError, match="another server runs with the data folder"),
            own_runner_name(one),
        ):
            pass
    with own_runner_name(one) as again:
        assert again == first


def test_a_password_in_the_settings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[serve]\nstore = "kurrentdb://admin:changeit@db1:2113"\n')
    with pytest.raises(ConfigError, match="store_env") as refused:
        load_settings(file)
    assert "changeit" not in str(refused.value)
    said = coldaisle("serve", "--store", "kurrentdb://admin:changeit@db1:2113")
    assert said.returncode == 1
    assert "store_env" in said.stderr
    assert "changeit" not in said.stderr


async def test_a_history_moves_to_a_cluster_and_back_and_is_compared(tmp_path: Path) -> None:
    pytest.importorskip("kurrentdbclient", reason="the extra `kurrent` is not installed")
    here, back = tmp_path / "here.db", tmp_path / "back.db"
    streams = ("asset-a", "asset-b", "run-1")
    async with SqliteStore(here) as store:
        for number in range(1, 401):
            event = NewEvent(sequenced_id(number, "t", number), "Test", 1, number, "t", b'{"n":%d}' % number)
            await store.append(streams[number % 3], [event])
    async with (
        SqliteStore(tmp_path / "cluster.db") as cluster,
        kurrent_server(cluster, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
    ):
        url = f"kurrentdb://127.0.0.1:{port}?Tls=false"
        for source, target in ((str(here), url), (str(here), url), (url, str(back))):
            ran = await asyncio.to_thread(coldaisle, "store", "copy", source, target)
            assert ran.returncode == 0, ran.stderr
            assert "400 compared and equal" in ran.stdout
    async with SqliteStore(here, read_only=True) as ours, SqliteStore(back, read_only=True) as theirs:
        copied = [(e.stream, e.version, e.id, e.data) for e in (await theirs.read_all()).events]
        assert copied == [(e.stream, e.version, e.id, e.data) for e in (await ours.read_all()).events]
    said = coldaisle("store", "copy", str(here), "kurrentdb://admin:changeit@db1:2113")
    assert said.returncode == 2
    assert "env:NAME" in said.stderr
    assert "changeit" not in said.stderr
