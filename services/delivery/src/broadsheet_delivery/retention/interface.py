"""What the other folders may use of this one's stores."""

from broadsheet_delivery.retention.removed_store import RemovedError, refuse_removed

__all__ = ["RemovedError", "refuse_removed"]
