"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.imports.store import PIECE_BYTES, read_piece

__all__ = ["PIECE_BYTES", "read_piece"]
