"""What the other folders may use of this one's stores."""

from broadsheet_gateway.audit.store import Wanted, list_newest, read_head

__all__ = ["Wanted", "list_newest", "read_head"]
