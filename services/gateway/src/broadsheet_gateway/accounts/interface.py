"""What the other folders may use of this one's stores."""

from broadsheet_gateway.accounts.store import find_user, find_user_by_name

__all__ = ["find_user", "find_user_by_name"]
