"""The arguments of the action ``notify``, checked before anything is sent."""

from typing import Annotated

from msgspec import Meta, Struct

Message = Annotated[str, Meta(min_length=1, max_length=8192)]


class LogArguments(Struct, frozen=True, forbid_unknown_fields=True, tag_field="channel", tag="log"):
    """Write the message to the program's log."""

    message: Message


class WebhookArguments(Struct, frozen=True, forbid_unknown_fields=True, tag_field="channel", tag="webhook"):
    """POST the message as JSON to ``url``."""

    message: Message
    url: Annotated[str, Meta(max_length=2048)]
    run: str = ""
    step: str = ""


Arguments = LogArguments | WebhookArguments
