"""What the other folders may use of this one's stores."""

from broadsheet_gateway.api_keys.store import find_api_key_name

__all__ = ["find_api_key_name"]
