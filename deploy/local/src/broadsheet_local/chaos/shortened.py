"""The settings that chaos shortens, so that what takes minutes in production takes seconds here; all are printed.

The proportions stay: a lease outlives a call by more than its margin, and the floor outlives a call.
"""

from collections.abc import Mapping

LEASE_S = 6.0
CALL_TIMEOUT_S = 3.0
FLOOR_S = 4.0
DATABASE_TIMEOUT_S = 3.0
CHUNK = 25

SHORTENED: Mapping[str, str] = {
    "DELIVERY_HTTP_TIMEOUT_S": f"{CALL_TIMEOUT_S:g}",
    "DELIVERY_LEASE_S": f"{LEASE_S:g}",
    "DELIVERY_RECONCILE_FLOOR_S": f"{FLOOR_S:g}",
    "DELIVERY_RESCUE_INTERVAL_S": "1",
    "DELIVERY_POLL_S": "0.5",
    "DELIVERY_SINGLE_POLL_S": "0.25",
    "DATABASE_TIMEOUT_S": f"{DATABASE_TIMEOUT_S:g}",
    # Small pages make small chunks: many calls matter more here than many mails.
    "FAN_OUT_PAGE_ROWS": f"{CHUNK}",
    "DRAIN_S": "8",
    # Not below the one second for which the gateway keeps an idle connection.
    "DRAIN_NOTICE_S": "1.5",
}
