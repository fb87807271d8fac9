"""What the other folders may use of this one's store."""

from broadsheet_gateway.invitations.store import list_invitations

__all__ = ["list_invitations"]
