"""Time in the queue, moved by the test instead of waited for."""

from harness.seeding import Seed


def make_due(seed: Seed) -> None:
    """End every wait: retries, back-offs and searches are due now. Not the wait for the winner of an A/B test."""
    seed.execute(
        "UPDATE delivery.delivery_chunk SET run_at = now() WHERE status IN ('pending', 'uncertain') AND variant > 0"
    )
    seed.execute("UPDATE delivery.single_mail SET run_at = now() WHERE status IN ('pending', 'uncertain')")
    seed.execute("UPDATE delivery.sending_state SET back_off_until = '-infinity'")


def expire_leases(seed: Seed) -> None:
    """Let every lease run out, as if its holder had died long ago."""
    for table in ("delivery_chunk", "single_mail"):
        seed.execute(f"UPDATE delivery.{table} SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL")


def age_attempts(seed: Seed) -> None:
    """As if every call made so far had been made an hour ago."""
    seed.execute("UPDATE delivery.send_attempt SET started_at = started_at - interval '1 hour'")


def age_issue(seed: Seed, issue_id: int, *, days: int) -> None:
    """As if the issue had ended so many days ago."""
    seed.execute(
        "UPDATE delivery.issue_run SET finished_at = now() - make_interval(days => %s) WHERE issue_id = %s",
        (days, issue_id),
    )
