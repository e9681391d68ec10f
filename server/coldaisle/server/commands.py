"""``coldaisle serve``. Only click at import; the server itself comes when it starts."""

import sys
from pathlib import Path

import click

from coldaisle.server.store_options import DAMAGED, data, key, progress, store_key, told


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings in TOML; options win over it.")
@click.option("--data", "data_dir", metavar="DIR", help="Where history and token live. [./coldaisle-data]")
@click.option("--listen", metavar="HOST:PORT", help="Where gRPC is answered. [127.0.0.1:7443]")
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus may scrape /metrics. [off]")
@click.option("--store", metavar="URL", help="A KurrentDB cluster instead: kurrentdb://… [DIR/events.db]")
@click.option("--kurrent-port", type=click.IntRange(1, 65_535), metavar="PORT",
              help="Where KurrentDB's clients may read the history, on loopback. [off]")  # fmt: skip
def serve(
    config: Path | None,
    data_dir: str | None,
    listen: str | None,
    metrics: str | None,
    store: str | None,
    kurrent_port: int | None,
) -> None:
    """Run the server: history, twin, detection, playbooks and the gRPC API.

    \b
    Prints one line when it answers calls, and stops on SIGTERM or Ctrl-C.
    The token for clients and agents is in DIR/token, made at first start.

    \b
    Examples:
      coldaisle serve
      coldaisle serve --data /var/lib/coldaisle --metrics 127.0.0.1:9464
    """
    import asyncio
    import os

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its errors reach us as exceptions; we say them once

    from msgspec.structs import replace

    from coldaisle.core.errors import ColdaisleError
    from coldaisle.core.logs import configure_logging
    from coldaisle.server.main import serve as run
    from coldaisle.server.settings import load_settings, refuse_password

    configure_logging()
    kurrent = None if kurrent_port is None else f"127.0.0.1:{kurrent_port}"
    given = {"data_dir": data_dir, "listen": listen, "metrics": metrics, "store": store, "kurrent": kurrent}
    try:
        settings = load_settings(config)
        refuse_password(store or "", "--store")
        changes = {name: value for name, value in given.items() if value is not None}
        settings = replace(settings, serve=replace(settings.serve, **changes))
        asyncio.run(run(settings, click.echo))
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@data
@click.option("--to", "position", type=click.IntRange(1), metavar="POSITION", help="Replay up to here. [all]")
@click.option("--expect-hash", metavar="HASH", help="The state hash, or its beginning, that must come out.")
@key
@told
def verify(path: Path, position: int | None, expect_hash: str | None, key_file: Path | None) -> None:
    """Replay a history from its first event, and hold it against what was recorded.

    \b
    Reads the store's file alone; a server may be running beside it. The twin is folded anew and detection
    and policy judge anew: every alert and proposal must come out as recorded. Exit code 8 when not.

    \b
    Examples:
      coldaisle verify --data coldaisle-data
      coldaisle verify --to 4711 --expect-hash 9f2c
    """
    import asyncio

    from coldaisle.server.verify import verify_file

    verdict = asyncio.run(verify_file(path, position, progress("replayed"), store_key(key_file)))
    click.echo(f"position    @{verdict.position}")
    click.echo(f"state hash  {verdict.state_hash}")
    for name, count in verdict.answers.items():
        click.echo(f"{name:<10}  {count} answers derived again")
    faults = list(verdict.faults)
    if expect_hash and not verdict.state_hash.startswith(expect_hash):
        faults.append(f"the state hash does not begin with {expect_hash}")
    for fault in faults:
        click.echo(f"DIFFERS     {fault}", err=True)
    click.echo("verdict     " + ("the history does not replay to what it recorded" if faults else "equal"))
    sys.exit(DAMAGED if faults else 0)
