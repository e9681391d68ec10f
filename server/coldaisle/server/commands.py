"""``coldaisle serve``. Only click at import; the server itself comes when it starts."""

from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings in TOML; options win over it.")
@click.option("--data", "data_dir", metavar="DIR", help="Where history and token live. [./coldaisle-data]")
@click.option("--listen", metavar="HOST:PORT", help="Where gRPC is answered. [127.0.0.1:7443]")
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus may scrape /metrics. [off]")
def serve(config: Path | None, data_dir: str | None, listen: str | None, metrics: str | None) -> None:
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

    from msgspec.structs import replace

    from coldaisle.core.errors import ColdaisleError
    from coldaisle.core.logs import configure_logging
    from coldaisle.server.main import serve as run
    from coldaisle.server.settings import load_settings

    configure_logging()
    given = {"data_dir": data_dir, "listen": listen, "metrics": metrics}
    try:
        settings = load_settings(config)
        changes = {name: value for name, value in given.items() if value is not None}
        settings = replace(settings, serve=replace(settings.serve, **changes))
        asyncio.run(run(settings, click.echo))
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error
