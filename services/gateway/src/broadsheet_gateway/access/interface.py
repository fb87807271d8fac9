"""What the other folders may use of this one's stores."""

from broadsheet_gateway.access.store import lock_owners, read_grants, replace_grants

__all__ = ["lock_owners", "read_grants", "replace_grants"]
