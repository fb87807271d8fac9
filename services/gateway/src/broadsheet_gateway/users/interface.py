"""What the other folders may use of this one's store."""

from broadsheet_gateway.users.store import list_users

__all__ = ["list_users"]
