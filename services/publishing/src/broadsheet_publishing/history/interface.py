"""What the other folders may use of this one's stores."""

from broadsheet_publishing.history.record_step import record_step

__all__ = ["record_step"]
