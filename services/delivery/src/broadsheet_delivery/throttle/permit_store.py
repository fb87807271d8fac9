"""The permit that a claim needs while sending is limited: a rate, fewer concurrent calls, or a half-open breaker.

It is asked for inside the claim's transaction, so that the place is taken in the commit that leases. Claims under
a limit take turns by a transaction-scoped advisory lock. With no limit in force none of this runs, and a claim
takes no lock and writes nothing here.

Messages a second are limited by GCRA (ITU-T I.371): `next_send_at` says from when the next newsletter call may be
claimed, and each call moves it by its messages divided by the rate. Transactional mail moves it too, but does not
wait for it.
"""

import uuid
from datetime import timedelta
from typing import Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

Lane = Literal["newsletter", "transactional"]

MESSAGES_SPAN_S: Final = 1.0
"""A call carries at most what the rate allows in this time, so that one call is no burst."""
PROBE_MAX_S: Final = 20.0
"""The longest time one probe keeps others from trying, in case its replica dies."""
PROBE_MARGIN_S: Final = 5.0
"""A probe keeps others from trying until it is slow, and this much longer, by when its slowness is recorded."""
_PLACE_POLL_S: Final = 0.1
_PROBE_POLL_S: Final = 0.25
_WAIT_MIN_S: Final = 0.02
_ADVISORY_LOCK: Final = 0x62736865_7065726D & 0x7FFFFFFFFFFFFFFF

# Whether anything except a pause and an open breaker limits sending; columns of `sending`.
RESTRAINED = """(sending.messages_per_s_max IS NOT NULL OR sending.concurrent_calls_max IS NOT NULL
                 OR sending.concurrency IS NOT NULL OR sending.back_off_count > 0)"""

# Calls under way over all replicas, and those among them that are not slow: their lease, set when the call began, has
# more than the parameter `left_when_slow` to go. (Every replica runs with the same DELIVERY_LEASE_S.)
CALLS_UNDER_WAY = """(
    SELECT count(*) AS calls, count(*) FILTER (WHERE held.lease_until > now() + :left_when_slow) AS quick_calls
      FROM (SELECT chunk.lease_until
              FROM delivery.delivery_chunk AS chunk
             WHERE chunk.status IN ('leased', 'attempting') AND chunk.lease_until > now()
             UNION ALL
            SELECT max(mail.lease_until)
              FROM delivery.single_mail AS mail
             WHERE mail.status IN ('leased', 'attempting') AND mail.lease_until > now()
             GROUP BY mail.lease_token) AS held
)"""


class Granted(msgspec.Struct, frozen=True):
    """The claim may lease one call of at most `messages_max` messages (None: any number). Then `spend` what it
    leased.
    """

    messages_max: int | None = None
    counts: bool = False
    """The rate limit must be told how many messages were leased."""
    probes: bool = False
    """The call is the probe of a half-open breaker."""


class Denied(msgspec.Struct, frozen=True):
    """Denied; ask again after `wait_s`."""

    wait_s: float


def left_when_slow(lease: timedelta, slow_call: timedelta) -> timedelta:
    """The rest of a lease at the moment its call becomes slow."""
    return max(timedelta(0), lease - slow_call)


async def is_restrained(connection: AsyncConnection) -> bool | None:
    """Whether claims need a permit; None while there are no claims at all (paused, or the breaker is open)."""
    row = await connection.execute(
        sa.text(f"""
            SELECT CASE WHEN sending.paused_at IS NULL AND sending.back_off_until <= now() THEN {RESTRAINED} END
              FROM delivery.sending_state AS sending
        """)  # a constant
    )
    restrained: bool | None = row.scalar_one()
    return restrained


async def ask_permit(
    connection: AsyncConnection, lane: Lane, *, restrained: bool, left_when_slow: timedelta
) -> Granted | Denied:
    """Take turns with other claims until the transaction ends, and check whether there is a place.

    Without a limit nothing is asked.
    """
    if not restrained:
        return Granted()
    if lane == "newsletter":
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    row = await connection.execute(
        sa.text(f"""
            SELECT sending.paused_at IS NULL AND sending.back_off_until <= now() AS running,
                   sending.messages_per_s_max,
                   CASE WHEN sending.next_send_at > clock_timestamp()
                        THEN extract(epoch FROM sending.next_send_at - clock_timestamp())::float8
                        ELSE 0 END AS rate_wait_s,
                   least(sending.concurrent_calls_max, floor(sending.concurrency)::integer) AS calls_max,
                   sending.back_off_count > 0 AS half_open,
                   sending.probe_until IS NULL OR sending.probe_until <= now() AS probe_free,
                   under_way.calls, under_way.quick_calls
              FROM delivery.sending_state AS sending, {CALLS_UNDER_WAY} AS under_way
        """).bindparams(sa.bindparam("left_when_slow", type_=sa.Interval)),  # constants
        {"left_when_slow": left_when_slow},
    )
    state = row.one()
    if not state.running:
        return Denied(_PROBE_POLL_S)
    if state.half_open and not state.probe_free:
        return Denied(_PROBE_POLL_S)
    rate: float | None = state.messages_per_s_max
    granted = Granted(
        messages_max=None if rate is None else max(1, int(rate * MESSAGES_SPAN_S)),
        counts=rate is not None,
        probes=state.half_open,
    )
    if lane == "transactional":
        return msgspec.structs.replace(granted, messages_max=None)
    # Slow calls do not occupy a place, up to as many as there are places.
    if state.calls_max is not None and (
        state.quick_calls >= state.calls_max or state.calls >= 2 * max(state.calls_max, _PROBES_MIN)
    ):
        return Denied(_PLACE_POLL_S)
    if rate is not None and state.rate_wait_s > 0:
        return Denied(max(_WAIT_MIN_S, state.rate_wait_s))
    return granted


_PROBES_MIN: Final = 4
"""While calls hang, up to twice this many are under way, however low the limit: otherwise nobody could try again."""


async def spend(
    connection: AsyncConnection, granted: Granted, *, token: uuid.UUID, messages: int, probe_s: float
) -> bool:
    """Record what was leased, in the same transaction. False: another call became the probe meanwhile."""
    if not granted.counts and not granted.probes:
        return True
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state
               SET next_send_at = CASE WHEN messages_per_s_max IS NULL THEN next_send_at
                        ELSE greatest(next_send_at, clock_timestamp())
                             + make_interval(secs => :messages / messages_per_s_max) END,
                   probe_token = CASE WHEN :probes THEN :token ELSE probe_token END,
                   probe_until = CASE WHEN :probes THEN clock_timestamp() + :probe_time ELSE probe_until END
             WHERE NOT :probes OR probe_until IS NULL OR probe_until <= now()
            RETURNING 1
        """).bindparams(
            sa.bindparam("token", type_=pg.UUID),
            sa.bindparam("messages", type_=sa.Double),
            sa.bindparam("probes", type_=sa.Boolean),
            sa.bindparam("probe_time", type_=sa.Interval),
        ),
        {
            "messages": float(messages),
            "probes": granted.probes,
            "token": token,
            "probe_time": timedelta(seconds=min(PROBE_MAX_S, probe_s)),
        },
    )
    return row.first() is not None


async def end_probe(connection: AsyncConnection, *, token: uuid.UUID) -> None:
    """No call was made under this lease: if it was the probe, another call may become it. Otherwise nothing is
    written.
    """
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state SET probe_token = NULL, probe_until = NULL WHERE probe_token = :token
        """).bindparams(sa.bindparam("token", type_=pg.UUID)),
        {"token": token},
    )
