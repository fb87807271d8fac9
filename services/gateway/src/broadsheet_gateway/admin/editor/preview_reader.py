"""As whom a mail is previewed: what an author typed, and which subscriber that is."""

from typing import Final

import msgspec

from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.service_calls import ServiceCalls
from broadsheet_gateway.admin.subscriber_names import (
    NamedSubscriber,
    find_subscribers,
    is_number,
    may_read_subscribers,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError

CANDIDATES_SHOWN: Final = 10
NOBODY: Final = "Nobody on this newsletter has this address, name or number."


class ChosenReader(msgspec.Struct, frozen=True, kw_only=True):
    """`subscriber_id` None and no `error`: a person made up. `candidates`: the people who fit, if several do."""

    subscriber_id: int | None = None
    error: str = ""
    candidates: tuple[NamedSubscriber, ...] = ()


async def choose_reader(calls: ServiceCalls, session: Session, newsletter_id: int, typed: str) -> ChosenReader:
    """Whoever may not read subscribers gets the person made up, whatever they typed. A number is not looked up here:
    the preview says if it is nobody's.
    """
    if not typed or not may_read_subscribers(session, newsletter_id):
        return ChosenReader()
    if is_number(typed):
        return ChosenReader(subscriber_id=int(typed)) if int(typed) > 0 else ChosenReader(error=NOBODY)
    try:
        found = await find_subscribers(calls, newsletter_id, typed, limit=CANDIDATES_SHOWN + 1)
    except UpstreamRefusalError:
        return ChosenReader(error=NOBODY)  # a text that nobody's address or name can begin with
    except ProblemError:
        return ChosenReader(error="Addresses cannot be read now. Type a number, or leave it empty.")
    if not found:
        return ChosenReader(error=NOBODY)
    if len(found) > 1:
        many = f"{len(found)} people fit" if len(found) <= CANDIDATES_SHOWN else "Many people fit"
        return ChosenReader(error=f"{many}. Choose one, or type more.", candidates=found[:CANDIDATES_SHOWN])
    return ChosenReader(subscriber_id=found[0].id)
