"""What the other folders may use of this one's stores."""

from broadsheet_delivery.reports.tracking_store import note_tracking

__all__ = ["note_tracking"]
