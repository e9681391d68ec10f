"""Where the server is and what the agent shows it to be let in."""

import ssl
from pathlib import Path

from coldaisle.agent.config import AgentConfig, split_address
from coldaisle.agent.errors import StreamEnded
from coldaisle.agent.stream import Endpoint, Metadata


def endpoint_of(config: AgentConfig) -> Endpoint:
    """Plain on loopback, TLS wherever a CA is configured (and mutual with a certificate).

    Files are read anew at each connection: a renewed certificate needs no restart.
    """
    settings = config.agent
    host, port = split_address(settings.server)
    if not settings.ca_file:
        return Endpoint(host, port)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols(["h2"])
    tls.load_verify_locations(config.path(settings.ca_file))
    if settings.certificate_file:
        key = config.path(settings.key_file) if settings.key_file else None
        tls.load_cert_chain(config.path(settings.certificate_file), key)
    return Endpoint(host, port, tls)


def bearer(token_file: Path | None) -> Metadata:
    """The metadata with the token; read anew at each connection, so that a new token needs no restart."""
    if token_file is None:
        return ()
    token = token_file.read_bytes().strip()
    if not token.isascii():
        raise StreamEnded(f"{token_file} holds no token: it is not ASCII; check agent.token_file")
    return (("authorization", f"Bearer {token.decode()}"),)
