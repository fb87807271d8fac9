"""One item of a batch: what is sent, how it is judged before anything is written, and its result. Pure.

An item is judged as the single call would judge it, and in the same order, so that its result is that call's answer.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.entity_tag import HEADER_CHARS_MAX, entity_tag
from broadsheet_common.http.problems import (
    FieldProblem,
    MalformedRequestError,
    Problem,
    ProblemError,
    malformed_value,
    problem_of_any,
)
from broadsheet_common.http.record_id import RecordId
from broadsheet_common.http.request_rules import check_json_text
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up.subscribe import SignUp, parse_sign_up
from broadsheet_subscriptions.subscribers.api import SubscriberChange, SubscriberInput
from broadsheet_subscriptions.subscribers.show_subscriber import Subscriber, allowed_newsletters

CREATED: Final = 201
FOUND: Final = 200
OWN_FAULT: Final = 500
"""From this status on a result is no answer to the item: it may be sent again."""


class ChangeById(SubscriberChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As `SubscriberChange`, of the subscriber with this `id`. With `if_match` it is changed only if it still has this
    `ETag`; without, whatever it is.
    """

    id: RecordId
    if_match: Annotated[str, msgspec.Meta(max_length=HEADER_CHARS_MAX)] | None = None


class BatchItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of both."""

    create: SubscriberInput | None = None
    change: ChangeById | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """`index`: the item's place, from 0. `status`: what the single call would have been answered with. `subscriber` and
    its `etag`, or the `problem`, whose pointers begin in the item; with 412, the `etag` that there is now.
    """

    index: int
    status: int
    subscriber: Subscriber | None = None
    etag: str | None = None
    problem: Problem | None = None

    @property
    def is_refusal(self) -> bool:
        return self.problem is not None

    @property
    def is_final(self) -> bool:
        return self.status < OWN_FAULT


class Creation(msgspec.Struct, frozen=True):
    """Well formed and allowed. Its attributes and tags are judged later, when those that exist are known."""

    index: int
    sign_up: SignUp
    asked: SubscriberInput


class Change(msgspec.Struct, frozen=True):
    index: int
    asked: ChangeById


Work = Creation | Change


def read_item(index: int, sent: Any, caller: Identity) -> Work | BatchResult:
    """What is to be done, or why it cannot be."""
    try:
        check_json_text(sent)
        item = msgspec.convert(sent, BatchItem)
        if item.create is not None and item.change is None:
            return _read_creation(index, item.create, caller)
        if item.change is not None and item.create is None:
            return Change(index, item.change)
    except msgspec.ValidationError as error:
        return refusal(index, malformed_value(error, BatchItem))
    except ProblemError as error:
        return refusal(index, error)
    fault = FieldProblem(pointer="", detail="Exactly one of `create` and `change` is needed.")
    return refusal(index, MalformedRequestError(errors=(fault,)))


def _read_creation(index: int, asked: SubscriberInput, caller: Identity) -> Work | BatchResult:
    try:
        allowed_newsletters(caller, "subscribers:write", asked.newsletter_id)
        sign_up = parse_sign_up(
            email=asked.email,
            name=asked.name,
            newsletter=asked.newsletter_id,
            evidence=Evidence(source="api", actor=caller.subject),
        )
    except ProblemError as error:
        return refusal(index, error, within="/create")
    return Creation(index, sign_up, asked)


def refusal(index: int, error: Exception, *, within: str = "") -> BatchResult:
    """`within`: the pointer to what the error's pointers begin in. An error that is not expected is logged."""
    problem = problem_of_any(error)
    moved = tuple(FieldProblem(pointer=within + one.pointer, detail=one.detail) for one in problem.errors)
    tag = error.headers.get("ETag") if isinstance(error, ProblemError) else None
    return BatchResult(index, problem.status, etag=tag, problem=msgspec.structs.replace(problem, errors=moved))


def refusals(items: Sequence["Work | BatchResult"], error: Exception) -> list[BatchResult]:
    """The results of items that one error is to blame for; those that have a result keep it."""
    problem = problem_of_any(error)
    return [
        one if isinstance(one, BatchResult) else BatchResult(one.index, problem.status, problem=problem)
        for one in items
    ]


def success(index: int, status: int, subscriber: Subscriber) -> BatchResult:
    return BatchResult(index, status, subscriber, entity_tag(subscriber))


def in_rounds(work: Sequence[Work], mailbox_of: Mapping[int, str]) -> list[list[Work]]:
    """The items in groups that can be written together: no two of one mailbox or subscriber. What depends on an earlier
    item comes in a later group, so that each finds what the one before it has left.

    `mailbox_of`: the mailboxes of the subscribers that are to be changed, by id.
    """
    rounds: list[list[Work]] = []
    last_round: dict[int | str, int] = {}
    for item in work:
        touched: list[int | str] = []
        if isinstance(item, Creation):
            touched.append(item.sign_up.email.mailbox_key)
        else:
            touched.append(item.asked.id)
            if item.asked.id in mailbox_of:
                touched.append(mailbox_of[item.asked.id])
        place = max((last_round.get(one, -1) for one in touched), default=-1) + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(item)
        last_round.update(dict.fromkeys(touched, place))
    return rounds
