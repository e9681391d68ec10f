"""Arguments, addresses and answers of a notification. Pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.errors import ConfigError
from coldaisle.core.events.types import Argument
from coldaisle.integrations.notify.config import Arguments, WebhookArguments


class Target(msgspec.Struct, frozen=True):
    """Where a webhook listens."""

    secure: bool
    host: str
    port: int | None
    path: str


def parse_arguments(arguments: Mapping[str, Argument]) -> Arguments:
    """The arguments, checked; raises ConfigError that names the one to correct."""
    try:
        checked: Arguments = msgspec.convert(dict(arguments), Arguments)
    except msgspec.ValidationError as error:
        raise ConfigError(f"notify: {error}") from error
    return checked


def parse_target(url: str) -> Target:
    """The parts of an http or https URL; raises ConfigError on anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"notify: url {url!r}: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"notify: url {url!r} must start with http:// or https:// and name a host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", parts.hostname, port, path)


def body(request: ActionRequest, arguments: WebhookArguments) -> bytes:
    """What a webhook receives; ``text`` is what most chat systems show."""
    # A request's id is "<run>/<step>" unless the playbook says otherwise.
    run, _, step = request.id.rpartition("/")
    return msgspec.json.encode(
        {"run": arguments.run or run, "step": arguments.step or step, "text": arguments.message}
    )


def answered(status: int) -> ActionResult:
    """What an HTTP status says about the notification."""
    if 200 <= status < 300:
        return ActionResult("done", observed={"status": status})
    if status < 500:
        return ActionResult("not_done", f"the webhook answered {status}")
    return ActionResult("unknown", f"the webhook answered {status} and may have taken the message")
