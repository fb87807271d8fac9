"""What the other folders may use of this one's stores."""

from broadsheet_delivery.senders.store import report_alive

__all__ = ["report_alive"]
