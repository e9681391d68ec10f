"""A store served over the KurrentDB protocol on this machine, and real clients of it."""

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("kurrentdbclient")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kurrentdbclient import AsyncKurrentDBClient, KurrentDBClient

from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent import KurrentSettings, User, hashed_password, kurrent_server


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.db") as opened:
        yield opened


@pytest.fixture
async def port(store: SqliteStore) -> AsyncIterator[int]:
    async with kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as bound:
        yield bound


@pytest.fixture
async def client(port: int) -> AsyncIterator[AsyncKurrentDBClient]:
    async with AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as made:
        yield made


@pytest.fixture
async def sync_client(port: int) -> AsyncIterator[KurrentDBClient]:
    """Blocks: call it in a thread."""
    made = await asyncio.to_thread(KurrentDBClient, f"esdb://127.0.0.1:{port}?Tls=false")
    yield made
    await asyncio.to_thread(made.close)


@dataclass
class Pair:
    """A certificate for this machine, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Some clients take no certificate that is its own authority, so there are two."""
    folder = tmp_path_factory.mktemp("tls")
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    root = (
        unsigned("authority", "authority", root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        unsigned("localhost", "authority", key)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    made = Pair(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    made.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    made.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def unsigned(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


USERS = (
    User("auditor", hashed_password("read me")),
    User("writer", hashed_password("write me"), may_write=True),
    User("admin", hashed_password("rule-me"), admin=True),
)


@pytest.fixture
async def secure_port(store: SqliteStore, pair: Pair) -> AsyncIterator[int]:
    settings = KurrentSettings(
        allow_writes=True,
        users=USERS,
        certificate_file=str(pair.certificate),
        key_file=str(pair.key),
    )
    async with kurrent_server(store, "localhost", 0, settings) as bound:
        yield bound


@pytest.fixture
def authority(pair: Pair) -> str:
    return pair.authority.read_text()
