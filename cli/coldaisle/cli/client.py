"""A synchronous gRPC client: token on every call, a deadline on every call, errors made readable."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.failures import failure
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings, default_token_file
from coldaisle.v1.alerts_pb2_grpc import AlertServiceStub
from coldaisle.v1.assets_pb2_grpc import AssetServiceStub
from coldaisle.v1.common_pb2 import Moment
from coldaisle.v1.detectors_pb2_grpc import DetectorServiceStub
from coldaisle.v1.forecasts_pb2_grpc import ForecastServiceStub
from coldaisle.v1.history_pb2_grpc import HistoryServiceStub
from coldaisle.v1.maintenances_pb2_grpc import MaintenanceServiceStub
from coldaisle.v1.playbooks_pb2_grpc import PlaybookServiceStub
from coldaisle.v1.silences_pb2_grpc import SilenceServiceStub
from coldaisle.v1.system_pb2_grpc import SystemServiceStub
from coldaisle.v1.telemetry_pb2_grpc import TelemetryServiceStub

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_TOKEN_BYTES = 4096
MAX_CERTIFICATES_BYTES = 4 * 1024 * 1024
MAX_PORT = 2**16 - 1
KEEPALIVE_MILLISECONDS = 20_000
KEEPALIVE_TIMEOUT_MILLISECONDS = 10_000

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
Metadata = tuple[tuple[str, str], ...]


class Client:
    """One channel and its stubs. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = _metadata(settings.token_file)
        self._channel = _channel(settings)
        self.assets = AssetServiceStub(self._channel)
        self.alerts = AlertServiceStub(self._channel)
        self.detectors = DetectorServiceStub(self._channel)
        self.forecasts = ForecastServiceStub(self._channel)
        self.history = HistoryServiceStub(self._channel)
        self.maintenances = MaintenanceServiceStub(self._channel)
        self.playbooks = PlaybookServiceStub(self._channel)
        self.silences = SilenceServiceStub(self._channel)
        self.system = SystemServiceStub(self._channel)
        self.telemetry = TelemetryServiceStub(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, method: Callable[..., A], request: Message) -> A:
        """One answer, or a CliError that says why not."""
        try:
            return method(request, timeout=self._settings.timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise failure(error, self._settings.server) from error

    def stream(
        self, method: Callable[..., Iterable[A]], request: Message, timeout_seconds: float | None = None
    ) -> Iterator[A]:
        """Answers until the server ends the stream; no deadline unless one is given."""
        try:
            yield from method(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise failure(error, self._settings.server) from error


def moment_of(as_of: AsOf | None) -> Moment:
    """The moment as the API takes it; None is now."""
    if as_of is None:
        return Moment()
    if isinstance(as_of, int):
        return Moment(as_of_revision=as_of)
    time = Timestamp()
    time.FromDatetime(as_of)
    return Moment(as_of_time=time)


def _metadata(token_file: Path | None) -> Metadata:
    """The call credentials. A missing default file is no error: the server will say what it wants."""
    path = token_file or default_token_file()
    try:
        with path.open("rb") as file:
            found = file.read(MAX_TOKEN_BYTES + 1)
    except FileNotFoundError as error:
        if token_file is None:
            return ()
        raise CliError(f"there is no token file {path}", "correct --token-file", ExitCode.REFUSED) from error
    except OSError as error:
        raise CliError(
            f"cannot read the token file {path}: {error.strerror}", "correct --token-file", ExitCode.REFUSED
        ) from error
    return (("authorization", f"Bearer {_token(found, path)}"),)


def _token(found: bytes, path: Path) -> str:
    """The one line of a token file. What else is in a file may be secret too, and is not told."""
    text = found.decode("ascii", "replace").strip()
    if len(found) > MAX_TOKEN_BYTES or not (text.isascii() and text.isprintable()):
        raise CliError(
            f"{path} is no token file: a token is one line of printable ASCII",
            "correct --token-file",
            ExitCode.REFUSED,
        )
    return text


def _certificates(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(MAX_CERTIFICATES_BYTES)
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", "correct --tls-ca", ExitCode.USAGE) from error
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise CliError(f"there is no certificate in {path}", "name a PEM file with --tls-ca", ExitCode.USAGE)
    return found


def _channel(settings: Settings) -> grpc.Channel:
    _require_address(settings.server)
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # a watch waits without a deadline: a server that hangs, or is cut off, says nothing, not even that
        ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),
        (
            "grpc.http2.ping_timeout_ms",
            KEEPALIVE_TIMEOUT_MILLISECONDS,
        ),  # of a ping that was under way already
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if settings.tls_ca is not None:
        credentials = grpc.ssl_channel_credentials(_certificates(settings.tls_ca))
        return grpc.secure_channel(settings.server, credentials, options=options)
    if not is_loopback(settings.server):
        raise CliError(
            f"{settings.server} is not on this machine: the token would travel in clear",
            "name the certificates to trust with --tls-ca",
            ExitCode.USAGE,
        )
    return grpc.insecure_channel(settings.server, options=options)


def _require_address(server: str) -> None:
    """Say what is wrong with HOST:PORT; gRPC would take the port modulo 65,536."""
    host, _, port = server.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) <= len(str(MAX_PORT))
    if not host or not is_port or not 0 < int(port) <= MAX_PORT:
        raise CliError(
            f"{server!r} is not HOST:PORT", "name the server as in --server 127.0.0.1:7443", ExitCode.USAGE
        )


def is_loopback(server: str) -> bool:
    """Whether HOST:PORT names this machine."""
    host = server.rpartition(":")[0].strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
