"""What the other folders may use of this one's stores."""

from broadsheet_gateway.passkeys.store import delete_passkeys, has_passkey

__all__ = ["delete_passkeys", "has_passkey"]
