"""Starts and stops the listener for KurrentDB's clients."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from coldaisle.core.errors import ConfigError
from coldaisle.core.store import EventStore
from coldaisle.server.kurrent.settings import KurrentSettings, is_hashed

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_MESSAGE_BYTES = 17 << 20
WINDOW_BYTES = 1 << 20
"""Of a stream: a client need not wait for an answer in the middle of a batch."""
KEEPALIVE_MILLISECONDS = 20_000
KEEPALIVE_TIMEOUT_MILLISECONDS = 10_000
MIN_PING_MILLISECONDS = 100
"""Between two of a client's questions whether we are there; gRPC's own bound, 5 minutes, ends the connections
of clients that ask every 10 s, as most do."""
STOP_GRACE_SECONDS = 1.0
MAX_CALLS = 1_000
"""Calls at once, over all connections; what comes beyond is refused."""


@contextlib.asynccontextmanager
async def kurrent_server(
    store: EventStore, host: str, port: int, settings: KurrentSettings
) -> AsyncIterator[int]:
    """Serves the store as long as the block runs; gives the port. Raises ConfigError."""
    _check(host, settings)
    try:
        from coldaisle.server.kurrent.services import services
    except ImportError as error:
        raise ConfigError(
            f"the KurrentDB protocol needs the package {error.name}: pip install 'coldaisle[kurrent]'"
        ) from error
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
            # a client whose machine is gone says nothing, and holds its subscriptions and events
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),
            ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),  # that is what counts
            ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MILLISECONDS),
            ("grpc.keepalive_permit_without_calls", 1),
        ),
        maximum_concurrent_rpcs=MAX_CALLS,
    )
    bound = _bind(server, host, port, settings)
    async with services(store, settings, settings.advertise_host or host, bound) as handlers:
        server.add_generic_rpc_handlers(handlers)
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(STOP_GRACE_SECONDS)


def _check(host: str, settings: KurrentSettings) -> None:
    if bool(settings.certificate_file) != bool(settings.key_file):
        raise ConfigError("kurrent: certificate_file and key_file belong together; name both or neither")
    if not settings.certificate_file and host not in LOOPBACK:
        raise ConfigError(
            f"kurrent: without TLS the listener stays on loopback, and {host!r} is not: "
            "name certificate_file and key_file"
        )
    for user in settings.users:
        if not is_hashed(user.password_hash):
            raise ConfigError(
                f"kurrent: the password_hash of user {user.name!r} is none: write there what "
                "coldaisle.server.kurrent.hashed_password(password) gives"
            )


def _bind(server: grpc.aio.Server, host: str, port: int, settings: KurrentSettings) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if not settings.certificate_file:
            return server.add_insecure_port(address)
        pair = Path(settings.key_file).read_bytes(), Path(settings.certificate_file).read_bytes()
        return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise ConfigError(f"kurrent: {address} cannot be opened; another process listens there") from error
    except OSError as error:
        raise ConfigError(f"kurrent: {error.filename}: {error.strerror}; name readable files") from error
