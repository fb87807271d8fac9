"""The events of messages, as GET /messages/outbound/{id}/details lists them."""

from typing import Any, Final

MESSAGES_MAX: Final = 100_000
EVENTS_PER_MESSAGE_MAX: Final = 100


class MessageEvents:
    """Events by message, for the MESSAGES_MAX messages with the most recent events."""

    def __init__(self) -> None:
        self._events: dict[int, list[dict[str, Any]]] = {}

    def add(self, sequence: int, event: dict[str, Any]) -> None:
        events = self._events.setdefault(sequence, [])
        if len(events) < EVENTS_PER_MESSAGE_MAX:
            events.append(event)
        if len(self._events) > MESSAGES_MAX:
            del self._events[next(iter(self._events))]

    def of(self, sequence: int) -> list[dict[str, Any]]:
        return self._events.get(sequence, [])

    def clear(self) -> None:
        self._events.clear()
