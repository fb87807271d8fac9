"""The API behind the gateway's public pages: sign up, confirm, unsubscribe. Tokens are sent in bodies, never in
URLs.
"""

from typing import Annotated, Any

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.http.problems import (
    InvalidInputError,
    MalformedRequestError,
    Problem,
    ProblemError,
    malformed_value,
    problem_of_any,
)
from broadsheet_common.http.record_id import RecordId
from broadsheet_common.http.request_rules import check_json_text
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.consent.evidence import read_evidence
from broadsheet_subscriptions.leaving.unsubscribe import (
    UnknownUnsubscribeTokenError,
    look_up_unsubscribe,
    unsubscribe_all_by_link,
    unsubscribe_by_link,
)
from broadsheet_subscriptions.sign_up.confirm import UnknownTokenError, confirm, look_up_confirmation
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, SignUp, parse_sign_up
from broadsheet_subscriptions.sign_up.take_sign_ups import BATCH_MAX, take_sign_ups
from broadsheet_subscriptions.subscribers import linked_subscription
from broadsheet_subscriptions.subscribers.address_flags import AddressFlag
from broadsheet_subscriptions.subscribers.api import EMAIL_CHARS_MAX, NAME_CHARS_MAX
from broadsheet_subscriptions.subscribers.subscription import State

PUBLIC_BODY_MAX_BYTES = 128 * 1024
TRACEPARENT_CHARS = 55
SLUG_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
"""A slug, as the database stores it."""


class Visitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sent the form, as the gateway saw it, for the consent record."""

    ip: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    user_agent: str | None = None
    form_url: str | None = None


class SignUpInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`newsletter_id` or `newsletter` (a slug); if both are null, the default newsletter."""

    email: Annotated[str, msgspec.Meta(max_length=EMAIL_CHARS_MAX)]
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]
    newsletter_id: RecordId | None = None
    newsletter: Annotated[str, msgspec.Meta(pattern=SLUG_PATTERN)] | None = None
    wording_version: int | None = None
    visitor: Visitor = Visitor()


class BatchedSignUp(SignUpInput, frozen=True, forbid_unknown_fields=True):
    """`traceparent`: of the request that brought this one, for its mail."""

    traceparent: Annotated[str, msgspec.Meta(max_length=TRACEPARENT_CHARS)] | None = None


class SignUpBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each item is a `BatchedSignUp`, and is judged by itself."""

    items: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


class SignUpResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The status that the sign-up alone would have been answered with, and the problem if it is an error."""

    status: int
    problem: Problem | None = None


class SignUpResults(msgspec.Struct, frozen=True):
    items: list[SignUpResult]


class SignUpAnswer(msgspec.Struct, frozen=True):
    """Empty, so that it reveals nothing about the address."""


class TokenInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class LeavingInput(TokenInput, frozen=True, forbid_unknown_fields=True):
    """`issue_id`: the issue whose mail held the link, as the link says. It counts in the issue's report only if a mail
    of the issue went to this subscriber, and does nothing else.
    """

    issue_id: RecordId | None = None


class ConfirmationInput(TokenInput, frozen=True, forbid_unknown_fields=True):
    visitor: Visitor = Visitor()


class LinkedNewsletter(msgspec.Struct, frozen=True):
    id: int
    name: str


class LinkedSubscription(msgspec.Struct, frozen=True):
    """What a link in a mail refers to."""

    newsletter: LinkedNewsletter
    state: State


class ConfirmableSubscription(LinkedSubscription, frozen=True):
    """What a confirmation link leads to. `suppressed`: why no issue is sent to the address, whatever the state.

    It is not told of other links, which are passed on.
    """

    suppressed: SuppressionKind | None


class LeftAll(msgspec.Struct, frozen=True):
    """Empty: an unsubscribe link may have been forwarded, so it reveals nothing about other newsletters."""


_ACCEPTED = SignUpResult(202)


class PublicController(Controller):
    path = "/public"
    tags = ("Public pages",)
    guards = (requires("public"), json_only)
    request_class = JsonRequest
    request_max_body_size = PUBLIC_BODY_MAX_BYTES

    @post(
        "/subscriptions",
        operation_id="signUp",
        summary="Sign up from the public form",
        description="The answer is the same for every valid address, known or not.",
        status_code=202,
        responses=documents(InvalidInputError, body=True),
    )
    async def sign_up(
        self,
        data: JSONBody[SignUpInput],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
        refused_address_flags: NamedDependency[frozenset[AddressFlag]],
    ) -> SignUpAnswer:
        [error] = await take_sign_ups(engine, [_parse(data, refused_address_flags)], confirmation_policy)
        if error is not None:
            raise error
        return SignUpAnswer()

    # No schema: the gateway alone calls it, and an item's own faults are answered in its place.
    @post("/subscriptions/batch", status_code=200, include_in_schema=False)
    async def sign_up_several(
        self,
        request: JsonRequest,
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
        refused_address_flags: NamedDependency[frozenset[AddressFlag]],
    ) -> SignUpResults:
        """Sign-ups that arrived at the gateway together, each answered as it would be alone."""
        try:
            batch = msgspec.json.decode(await request.body(), type=SignUpBatch)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequestError from error
        outcomes: list[SignUp | Exception | None] = []
        for item in batch.items:
            try:
                check_json_text(item)
                outcomes.append(_parse(msgspec.convert(item, BatchedSignUp), refused_address_flags))
            except msgspec.ValidationError as fault:
                outcomes.append(malformed_value(fault, BatchedSignUp))
            except ProblemError as problem:
                outcomes.append(problem)
        sign_ups = [one for one in outcomes if isinstance(one, SignUp)]
        taken = iter(await take_sign_ups(engine, sign_ups, confirmation_policy) if sign_ups else ())
        errors = [next(taken) if isinstance(one, SignUp) else one for one in outcomes]
        return SignUpResults([_ACCEPTED if error is None else _refusal(error) for error in errors])

    @post(
        "/confirmations/lookup",
        operation_id="lookUpConfirmation",
        summary="See what a confirmation link leads to; changes nothing",
        status_code=200,
        responses=documents(UnknownTokenError, body=True),
    )
    async def look_up_confirmation(
        self, data: JSONBody[TokenInput], engine: NamedDependency[AsyncEngine]
    ) -> ConfirmableSubscription:
        async with engine.connect() as connection:
            return _confirmable(await look_up_confirmation(connection, data.token))

    @post(
        "/confirmations",
        operation_id="confirmSubscription",
        summary="Confirm a subscription; a second time succeeds too",
        status_code=200,
        responses=documents(UnknownTokenError, body=True),
    )
    async def confirm(
        self, data: JSONBody[ConfirmationInput], engine: NamedDependency[AsyncEngine]
    ) -> ConfirmableSubscription:
        evidence = read_evidence(source="link", ip=data.visitor.ip, user_agent=data.visitor.user_agent)
        async with engine.begin() as connection:
            linked = await confirm(connection, data.token, evidence)
        return _confirmable(linked)

    @post(
        "/unsubscribes/lookup",
        operation_id="lookUpUnsubscribe",
        summary="See what an unsubscribe link leads to; changes nothing",
        status_code=200,
        responses=documents(UnknownUnsubscribeTokenError, body=True),
    )
    async def look_up_unsubscribe(
        self,
        data: JSONBody[TokenInput],
        engine: NamedDependency[AsyncEngine],
        link_signer: NamedDependency[LinkSigner],
    ) -> LinkedSubscription:
        async with engine.connect() as connection:
            return _answer(await look_up_unsubscribe(connection, link_signer, data.token))

    @post(
        "/unsubscribes",
        operation_id="unsubscribeByLink",
        summary="Leave by the link in a mail; a second time succeeds too",
        status_code=200,
        responses=documents(UnknownUnsubscribeTokenError, body=True),
    )
    async def unsubscribe(
        self,
        data: JSONBody[LeavingInput],
        engine: NamedDependency[AsyncEngine],
        link_signer: NamedDependency[LinkSigner],
    ) -> LinkedSubscription:
        async with engine.begin() as connection:
            linked = await unsubscribe_by_link(connection, link_signer, data.token, issue_id=data.issue_id)
        return _answer(linked)

    @post(
        "/unsubscribes/all",
        operation_id="unsubscribeFromAllByLink",
        summary="Leave every newsletter by the link in a mail; a second time succeeds too",
        status_code=200,
        responses=documents(UnknownUnsubscribeTokenError, body=True),
    )
    async def unsubscribe_from_all(
        self,
        data: JSONBody[LeavingInput],
        engine: NamedDependency[AsyncEngine],
        link_signer: NamedDependency[LinkSigner],
    ) -> LeftAll:
        async with engine.begin() as connection:
            await unsubscribe_all_by_link(connection, link_signer, data.token, issue_id=data.issue_id)
        return LeftAll()


def _parse(data: SignUpInput, refused: frozenset[AddressFlag]) -> SignUp:
    """Raises InvalidInputError."""
    return parse_sign_up(
        email=data.email,
        name=data.name,
        newsletter=data.newsletter_id if data.newsletter_id is not None else data.newsletter,
        evidence=read_evidence(
            source="form",
            ip=data.visitor.ip,
            user_agent=data.visitor.user_agent,
            form_url=data.visitor.form_url,
            wording_version=data.wording_version,
        ),
        refused=refused,
        traceparent=data.traceparent if isinstance(data, BatchedSignUp) else None,
    )


def _refusal(error: Exception) -> SignUpResult:
    problem = problem_of_any(error)
    return SignUpResult(problem.status, problem)


def _answer(linked: linked_subscription.LinkedSubscription) -> LinkedSubscription:
    return LinkedSubscription(LinkedNewsletter(linked.newsletter_id, linked.newsletter_name), linked.state)


def _confirmable(linked: linked_subscription.LinkedSubscription) -> ConfirmableSubscription:
    return ConfirmableSubscription(
        LinkedNewsletter(linked.newsletter_id, linked.newsletter_name), linked.state, linked.suppressed
    )
