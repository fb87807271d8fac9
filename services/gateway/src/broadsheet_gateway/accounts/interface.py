"""What the other folders may use of this one's stores."""

from broadsheet_gateway.accounts.store import end_sessions, find_user, find_user_by_name, set_password_hash

__all__ = ["end_sessions", "find_user", "find_user_by_name", "set_password_hash"]
