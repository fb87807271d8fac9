"""What the other folders may use of this one's stores."""

from broadsheet_delivery.events.backstop_store import streams_in_use
from broadsheet_delivery.events.store import delete_inbox

__all__ = ["delete_inbox", "streams_in_use"]
