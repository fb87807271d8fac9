"""What the other folders may use of this one's store."""

from broadsheet_gateway.password_reset.store import void_reset_links

__all__ = ["void_reset_links"]
