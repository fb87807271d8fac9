"""What the other folders may use of this one's stores."""

from broadsheet_gateway.accounts.store import (
    UserAccount,
    end_sessions,
    find_user,
    find_user_by_address,
    find_user_by_name,
    find_user_to_sign_in,
    insert_user,
    is_name_taken,
    lock_user,
    replace_address,
    replace_hash,
    set_password_hash,
)

__all__ = [
    "UserAccount",
    "end_sessions",
    "find_user",
    "find_user_by_address",
    "find_user_by_name",
    "find_user_to_sign_in",
    "insert_user",
    "is_name_taken",
    "lock_user",
    "replace_address",
    "replace_hash",
    "set_password_hash",
]
