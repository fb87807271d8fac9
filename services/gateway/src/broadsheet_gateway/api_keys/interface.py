"""What the other folders may use of this one's stores."""

from broadsheet_gateway.api_keys.store import ApiKeyRow, KeyUse, find_api_key_name, list_api_keys, list_uses

__all__ = ["ApiKeyRow", "KeyUse", "find_api_key_name", "list_api_keys", "list_uses"]
