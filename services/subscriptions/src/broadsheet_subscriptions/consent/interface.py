"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.consent.store import EVIDENCE_COLUMNS, EVIDENCE_VALUES, evidence_parameters

__all__ = ["EVIDENCE_COLUMNS", "EVIDENCE_VALUES", "evidence_parameters"]
