"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.consent.store import (
    EVIDENCE_ARRAY_PARAMETERS,
    EVIDENCE_ARRAYS,
    EVIDENCE_COLUMNS,
    EVIDENCE_VALUES,
    evidence_arrays,
    evidence_parameters,
)

__all__ = [
    "EVIDENCE_ARRAYS",
    "EVIDENCE_ARRAY_PARAMETERS",
    "EVIDENCE_COLUMNS",
    "EVIDENCE_VALUES",
    "evidence_arrays",
    "evidence_parameters",
]
