"""The Redis connection pool: every wait is bounded, and a lost connection is opened again once.

Redis holds only what may be lost: sessions (people log in again) and rate limits (a local limit takes over).
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

REDIS_ERRORS = (RedisError, OSError)
"""What a call may raise when Redis is down, slow, loading, read-only or full. (A time-out is a RedisError.)"""


def create_redis(url: str, *, timeout_s: float, connections_max: int) -> Redis:
    """A client that connects at the first call. No call waits longer than about three times `timeout_s`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections_max,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # A pooled connection that Redis closed (a restart) fails at its first use: once more, on a new one. A
        # time-out is not tried again: that would double the wait.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return Redis.from_pool(pool)
