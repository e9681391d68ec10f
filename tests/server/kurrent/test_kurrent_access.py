"""Who may do what, with TLS and without."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kurrentdbclient import AsyncKurrentDBClient, KurrentDBClient, NewEvent, NewEvents, StreamState
from kurrentdbclient import exceptions as refused

from coldaisle.core.errors import ConfigError
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent import KurrentSettings, User, hashed_password, kurrent_server
from coldaisle.server.kurrent.settings import password_fits

ANY = StreamState.ANY
EVENT = NewEvent(type="T", data=b"{}")


@contextlib.asynccontextmanager
async def connected(port: int, authority: str, login: str = "") -> AsyncIterator[AsyncKurrentDBClient]:
    uri = f"kurrentdb://{login}localhost:{port}"
    async with AsyncKurrentDBClient(uri, root_certificates=authority) as client:
        yield client


@contextlib.asynccontextmanager
async def plain(store: SqliteStore, settings: KurrentSettings) -> AsyncIterator[AsyncKurrentDBClient]:
    async with (
        kurrent_server(store, "127.0.0.1", 0, settings) as port,
        AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as client,
    ):
        yield client


async def test_writes_are_refused_unless_allowed(store: SqliteStore) -> None:
    async with plain(store, KurrentSettings()) as client:
        for work in (
            client.append_to_stream("a", events=EVENT, current_version=ANY),
            client.multi_append_to_stream([NewEvents("a", [EVENT], ANY)]),
            client.set_stream_metadata("a", metadata={}),
            client.delete_stream("a", current_version=ANY),
            client.tombstone_stream("a", current_version=ANY),
            client.create_subscription_to_all("g"),
            client.replay_parked_events("g", "a"),
            client.delete_subscription("g", "a"),
        ):
            with pytest.raises(refused.AccessDeniedError):
                await work
        assert [e async for e in await client.read_all()] == []
    assert await store.head() == 0


async def test_system_streams_are_for_admins(secure_port: int, authority: str) -> None:
    async with connected(secure_port, authority, "writer:write me@") as writer:
        await writer.append_to_stream("a", events=EVENT, current_version=ANY)
        await writer.set_stream_metadata("a", metadata={"$maxCount": 5})
        for stream in ("$mine", "$$$mine"):
            with pytest.raises(refused.AccessDeniedError):
                await writer.append_to_stream(
                    stream, events=NewEvent(type="$metadata", data=b"{}"), current_version=ANY
                )
        with pytest.raises(refused.AccessDeniedError):
            await writer.tombstone_stream("$mine", current_version=ANY)
    async with connected(secure_port, authority, "admin:rule-me@") as admin:
        await admin.append_to_stream("$mine", events=NewEvent("T", b"{}"), current_version=ANY)
        with pytest.raises(refused.BadRequestError):
            await admin.append_to_stream("$$a", events=EVENT, current_version=ANY)


async def test_users_do_what_they_may(secure_port: int, authority: str, store: SqliteStore) -> None:
    async with connected(secure_port, authority, "writer:write me@") as writer:
        await writer.append_to_stream("a", events=EVENT, current_version=ANY)
    async with connected(secure_port, authority, "auditor:read me@") as auditor:
        assert len(await auditor.get_stream("a")) == 1
        with pytest.raises(refused.AccessDeniedError):
            await auditor.append_to_stream("a", events=EVENT, current_version=ANY)
    (stored,) = await store.read_stream("a")
    assert stored.actor == "kurrent/writer"


@pytest.mark.parametrize("login", ["auditor:wrong@", "nobody:read me@"])
async def test_wrong_credentials_are_refused_after_the_same_work(
    secure_port: int, authority: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quick refusal would tell that there is no such user."""
    scrypt, hashed = hashlib.scrypt, 0

    def counted(*given: bytes, **named: Any) -> bytes:
        nonlocal hashed
        hashed += 1
        return scrypt(*given, **named)

    monkeypatch.setattr("hashlib.scrypt", counted)
    async with connected(secure_port, authority, login) as client:
        for _ in range(2):
            with pytest.raises(refused.UnauthenticatedError):
                await client.get_stream("a")
    assert hashed >= 2


async def test_no_credentials_read_only_where_that_is_allowed(
    store: SqliteStore, pair: object, authority: str
) -> None:
    files = {"certificate_file": str(pair.certificate), "key_file": str(pair.key)}
    for anonymous in (False, True):
        settings = KurrentSettings(allow_writes=True, anonymous_reads=anonymous, **files)
        async with kurrent_server(store, "localhost", 0, settings) as port:
            channel = await asyncio.to_thread(_reads_without_login, port, authority)
            assert channel == ("OK" if anonymous else "UNAUTHENTICATED")


def _reads_without_login(port: int, authority: str) -> str:
    """The client package insists on a login over TLS; others do not."""
    import grpc
    from kurrentdbclient.protos.v1 import streams_pb2, streams_pb2_grpc

    options = streams_pb2.ReadReq.Options(count=1)
    options.all.start.SetInParent()
    with grpc.secure_channel(
        f"localhost:{port}", grpc.ssl_channel_credentials(authority.encode())
    ) as channel:
        call = streams_pb2_grpc.StreamsStub(channel).Read(streams_pb2.ReadReq(options=options))
        try:
            list(call)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


@pytest.mark.parametrize("scheme", ["kdb+discover", "kurrentdb+discover", "esdb+discover"])
async def test_discovery_finds_this_node(port: int, scheme: str) -> None:
    async with AsyncKurrentDBClient(f"{scheme}://127.0.0.1:{port}?Tls=false") as client:
        await client.append_to_stream("a", events=EVENT, current_version=ANY)
    client = await asyncio.to_thread(KurrentDBClient, f"{scheme}://127.0.0.1:{port}?Tls=false")
    assert len(await asyncio.to_thread(client.get_stream, "a")) == 1
    await asyncio.to_thread(client.close)


async def test_discovery_and_the_synchronous_client_work_over_tls(secure_port: int, authority: str) -> None:
    def work() -> int:
        uri = f"kdb+discover://writer:write me@localhost:{secure_port}"
        with KurrentDBClient(uri, root_certificates=authority) as client:
            client.append_to_stream("a", events=[EVENT], current_version=ANY)
            return len(client.get_stream("a"))

    assert await asyncio.to_thread(work) == 1


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("0.0.0.0", KurrentSettings()),
        ("127.0.0.1", KurrentSettings(certificate_file="only.pem")),
        ("127.0.0.1", KurrentSettings(certificate_file="no.pem", key_file="none.pem")),
        ("127.0.0.1", KurrentSettings(users=(User("a", "scrypt$salt$digest"),))),
        ("127.0.0.1", KurrentSettings(users=(User("a", "secret"),))),
    ],
)
async def test_what_cannot_be_served_is_said_at_the_start(
    store: SqliteStore, host: str, settings: KurrentSettings
) -> None:
    with pytest.raises(ConfigError):
        async with kurrent_server(store, host, 0, settings):
            pass


async def test_a_taken_port_is_named(store: SqliteStore, port: int) -> None:
    with pytest.raises(ConfigError, match="another process"):
        async with kurrent_server(store, "127.0.0.1", port, KurrentSettings()):
            pass


def test_passwords_are_kept_hashed() -> None:
    user = User("a", hashed_password("secret"))
    assert "secret" not in user.password_hash
    assert password_fits("secret", user.password_hash)
    assert not password_fits("Secret", user.password_hash)
    assert not password_fits("secret", "plain$secret")
