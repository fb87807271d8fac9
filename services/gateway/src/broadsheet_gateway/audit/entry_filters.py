"""Which audit entries a request asks for: the query parameters that listing and exporting share."""

from datetime import datetime
from typing import Annotated, get_args

from litestar.params import QueryParameter

from broadsheet_common.contracts.audit import AuditAction
from broadsheet_common.http.problems import FieldProblem, MalformedRequestError
from broadsheet_common.http.route_rules import parse_parameter
from broadsheet_gateway.audit.store import Wanted

_WORD_CHARS_MAX = 100

Since = Annotated[datetime | None, QueryParameter(name="since", description="Entries from this moment on")]
Until = Annotated[datetime | None, QueryParameter(name="until", description="Entries before this moment")]
Actor = Annotated[
    str | None,
    QueryParameter(name="actor", max_length=_WORD_CHARS_MAX, description="`user:<id>`, `key:<id>` or `schedule`"),
]
Person = Annotated[
    str | None,
    QueryParameter(name="person", max_length=_WORD_CHARS_MAX, description="The user, also behind a key: `user:<id>`"),
]
ActionFilter = Annotated[
    str | None,
    QueryParameter(
        name="action",
        max_length=_WORD_CHARS_MAX,
        description="What was done, as in `issue.published`",
        schema_extra={"enum": sorted(get_args(AuditAction))},
    ),
]
TargetKind = Annotated[
    str | None,
    QueryParameter(name="target_kind", max_length=_WORD_CHARS_MAX, description="What it was done to, as in `issue`"),
]
TargetId = Annotated[
    str | None, QueryParameter(name="target_id", max_length=_WORD_CHARS_MAX, description="The target's id")
]


async def wanted_entries(
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    person: Person = None,
    action: ActionFilter = None,
    target_kind: TargetKind = None,
    target_id: TargetId = None,
) -> Wanted:
    """A dependency of the handlers.

    Raises:
        MalformedRequestError: a moment without a time zone, or a word that is no action.
    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise MalformedRequestError(errors=(FieldProblem(f"/{name}", "It needs a time zone, for example Z."),))
    parse_parameter(action, AuditAction | None, pointer="/action")
    return Wanted(
        since=since,
        until=until,
        actor=actor,
        person=person,
        action=action,
        target_kind=target_kind,
        target_id=target_id,
    )
