"""A step that the service takes by itself failed for one issue, and the others go on."""


class IssueStepFailedError(Exception):
    """Nothing was changed; `cause` says why."""

    def __init__(self, issue_id: int, step: str, cause: Exception) -> None:
        super().__init__(f"{step} of issue {issue_id} failed")
        self.issue_id = issue_id
        self.cause = cause
