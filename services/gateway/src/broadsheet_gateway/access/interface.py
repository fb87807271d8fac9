"""What the other folders may use of this one's stores."""

from broadsheet_gateway.access.store import read_grants, replace_grants

__all__ = ["read_grants", "replace_grants"]
