"""What the other folders may use of this one's stores."""

from broadsheet_delivery.settling.decision_store import Decision, issue_decisions

__all__ = ["Decision", "issue_decisions"]
