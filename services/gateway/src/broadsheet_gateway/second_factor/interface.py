"""What the other folders may use of this one's stores."""

from broadsheet_gateway.second_factor.store import is_required_of

__all__ = ["is_required_of"]
