"""An issue with an audience, and a stand-in for subscriptions, which finds the members of segments."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from httpx import Response

from ..conftest import ISSUE, Publishing, PublishingOwner

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")

# As subscriptions does, but at once, and for filters of one shape: {"field": "name", "op": "eq", "value": …}.
_FIND_MEMBERS = """
    CREATE FUNCTION subscriptions.find_members_at_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO subscriptions.audience_block (issue_id, block, members)
        SELECT NEW.issue_id, person.id / 8192,
               bit_or(set_bit(CAST(repeat('0', 8192) AS bit(8192)), CAST(person.id %% 8192 AS integer), 1))
          FROM subscriptions.subscriber AS person
          JOIN subscriptions.subscription AS held
            ON held.subscriber_id = person.id AND held.newsletter_id = NEW.newsletter_id AND held.state = 'confirmed'
         WHERE person.name = NEW.filter ->> 'value' AND held.confirmed_at <= NEW.frozen_at
         GROUP BY 2;
        UPDATE subscriptions.audience SET completed_at = now() WHERE issue_id = NEW.issue_id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER find_members_at_once AFTER INSERT ON subscriptions.audience
        FOR EACH ROW EXECUTE FUNCTION subscriptions.find_members_at_once();
"""


def find_members_at_once(owner: PublishingOwner) -> None:
    owner.rows(_FIND_MEMBERS)


def stop_finding_members(owner: PublishingOwner) -> None:
    owner.rows("DROP TRIGGER find_members_at_once ON subscriptions.audience")


def add_segment(owner: PublishingOwner, *, named: str) -> int:
    """Of those who have this name."""
    ((segment_id,),) = owner.rows(
        "INSERT INTO subscriptions.segment (name, filter) VALUES (%s, "
        "jsonb_build_object('field', 'name', 'op', 'eq', 'value', %s::text)) RETURNING id",
        f"Named {named}",
        named,
    )
    return int(segment_id)


def add_people(owner: PublishingOwner, *names: str, state: str = "confirmed", newsletter_id: int = 1) -> list[int]:
    """Subscribers of these names; their ids."""
    return [
        int(
            owner.rows(
                """
                WITH added AS (
                    INSERT INTO subscriptions.subscriber (email, email_key, name)
                    SELECT format('reader-%%s@example.com', 1 + coalesce(max(id), 0)),
                           format('reader-%%s@example.com', 1 + coalesce(max(id), 0)), %s
                      FROM subscriptions.subscriber RETURNING id)
                INSERT INTO subscriptions.subscription
                       (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
                SELECT %s, id, %s, now(), now() FROM added RETURNING subscriber_id
                """,
                name,
                newsletter_id,
                state,
            )[0][0]
        )
        for name in names
    ]


def suppress(owner: PublishingOwner, *subscriber_ids: int, stream: str = "broadcast") -> None:
    owner.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source, kind, origin) "
        "SELECT %s, email_key, 'HardBounce', 'Recipient', 'hard_bounce', 'provider' FROM subscriptions.subscriber "
        "WHERE id = ANY (%s)",
        stream,
        list(subscriber_ids),
    )


def set_state(owner: PublishingOwner, state: str, *subscriber_ids: int) -> None:
    owner.rows(
        "UPDATE subscriptions.subscription SET state = %s, unsubscribed_at = now() WHERE subscriber_id = ANY (%s)",
        state,
        list(subscriber_ids),
    )


def erase(owner: PublishingOwner, subscriber_id: int) -> None:
    """What subscriptions' own transaction does to subscriptions."""
    owner.rows(
        f"BEGIN; SET LOCAL broadsheet.change_source = 'erasure'; "
        f"DELETE FROM subscriptions.subscriber WHERE id = {int(subscriber_id)}; COMMIT"
    )


async def new_issue(publishing: Publishing, **fields: object) -> int:
    """Unlike any other, because the same content twice within a day is blocked."""
    answer = await publishing.post("issues", ISSUE | {"content": f"<p>{secrets.token_hex(8)}</p>"} | fields)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def look(publishing: Publishing, issue_id: int, **body: object) -> dict[str, Any]:
    """What the author is shown."""
    answer = await publishing.post(f"issues/{issue_id}/audience", body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def publish(publishing: Publishing, issue_id: int, token: str, **limits: object) -> Response:
    return await publishing.post(f"issues/{issue_id}/publish", {"audience": {"token": token} | limits})


def problem(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]
