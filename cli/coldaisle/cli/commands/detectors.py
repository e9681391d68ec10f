"""``coldaisle detectors``: how alerts are found."""

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings
from coldaisle.cli.telling import tell


@click.command(short_help="Show how alerts are found: thresholds, versions, what learns and what is held.")
@options.as_of
@options.output
@click.pass_obj
def detectors(settings: Settings, as_of: AsOf | None, form: str) -> None:
    """Show the configuration in force, the versions of its models, and what does not learn now and why.

    \b
    coldaisle detectors
    coldaisle detectors --as-of -7d                      what was in force a week ago
    coldaisle detectors -o json | jq -r .configurationJson
    """
    from coldaisle.cli.client import Client, moment_of
    from coldaisle.cli.detecting import detector_lines
    from coldaisle.cli.output import emit
    from coldaisle.v1.detectors_pb2 import GetDetectorRequest

    with Client(settings) as client:
        found = client.call(client.detectors.GetDetector, GetDetectorRequest(moment=moment_of(as_of)))
    if form in ("table", "wide"):
        tell(detector_lines(found))
    else:
        emit(form, found, [found], (), lambda each: f"@{each.configured_position}")
