"""The tables of the schema `subscriptions`, as the migrations create them, a module a subject."""

from broadsheet_subscriptions.tables.core import (
    confirmation_token,
    idempotency_key,
    metadata,
    provider_change,
    subscriber,
    subscription,
)
from broadsheet_subscriptions.tables.lists import attribute

__all__ = [
    "attribute",
    "confirmation_token",
    "idempotency_key",
    "metadata",
    "provider_change",
    "subscriber",
    "subscription",
]
