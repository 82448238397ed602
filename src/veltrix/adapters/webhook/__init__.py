"""Webhooks: signed posts, and the guard that keeps them out of the operator's own network."""

from veltrix.adapters.webhook.destinations import WebhookDestinations
from veltrix.adapters.webhook.guard import Names
from veltrix.adapters.webhook.poster import WebhookPoster

__all__ = ["Names", "WebhookDestinations", "WebhookPoster"]
