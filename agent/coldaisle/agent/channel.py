"""The gRPC channel to the server and what the agent shows it to be let in."""

from pathlib import Path

import grpc

from coldaisle.agent.config import AgentConfig
from coldaisle.agent.errors import StreamEnded

_OPTIONS = (
    ("grpc.max_send_message_length", 8_388_608),
    # Our own back-off decides when to connect again; the channel must not add a longer one of its own.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(config: AgentConfig) -> grpc.aio.Channel:
    """Plain on loopback, TLS wherever a CA is configured (and mutual with a certificate)."""
    settings = config.agent
    if not settings.ca_file:
        return grpc.aio.insecure_channel(settings.server, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=config.path(settings.ca_file).read_bytes(),
        private_key=_optional(config, settings.key_file),
        certificate_chain=_optional(config, settings.certificate_file),
    )
    return grpc.aio.secure_channel(settings.server, credentials, options=_OPTIONS)


def bearer(token_file: Path | None) -> tuple[tuple[str, str], ...]:
    """The metadata with the token; read anew at each connection, so that a new token needs no restart."""
    if token_file is None:
        return ()
    token = token_file.read_bytes().strip()
    if not token.isascii():
        raise StreamEnded(f"{token_file} holds no token: it is not ASCII; check agent.token_file")
    return (("authorization", f"Bearer {token.decode()}"),)


def _optional(config: AgentConfig, path: str) -> bytes | None:
    return config.path(path).read_bytes() if path else None
