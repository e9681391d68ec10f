"""Tell people and other systems: a line in the log, or JSON to a webhook. Acts only."""

from coldaisle.integrations.notify.act import NotifyActions
from coldaisle.integrations.notify.config import LogArguments, WebhookArguments

__all__ = ["LogArguments", "NotifyActions", "WebhookArguments"]
