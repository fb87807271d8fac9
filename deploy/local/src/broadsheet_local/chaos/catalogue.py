"""Every fault that chaos plays, in the order of the fault table; then faults that other queues failed at."""

from typing import Final

from broadsheet_local.chaos.fault import Fault
from broadsheet_local.chaos.faults import (
    account,
    clocks,
    database,
    deploy,
    disk,
    items,
    processes,
    provider,
    proxy,
    publishing,
    redis,
    webhooks,
)
from broadsheet_local.chaos.shortened import LEASE_S
from broadsheet_local.chaos.stack import StackOptions

_LEASE = f"lease + 10 s = {LEASE_S + 10:g} s"
_LINKED = StackOptions(linked=True)

FAULTS: Final = (
    Fault("kill9-delivery", processes.kill_a_sender, _LEASE),
    Fault("kill9-all-delivery", processes.kill_all_senders, _LEASE, weight=20),
    Fault("sigstop-delivery", processes.stop_a_sender, _LEASE, weight=20),
    Fault(
        "sigstop-before-slow-provider",
        processes.stop_a_sender_before_a_slow_provider,
        "60 s",
        processes.SLOW_PROVIDER,
        weight=30,
    ),
    Fault("kill9-any-service", processes.kill_a_service, "5 s after restart", weight=14),
    Fault("postgres-immediate-stop", database.crash_postgres, "10 s after it is up", weight=22),
    Fault("database-cut-off", database.cut_off, "30 s", _LINKED, weight=28),
    Fault("database-lost-at-the-answer", database.lost_at_the_answer, "30 s", _LINKED, weight=25),
    Fault("database-read-only", database.read_only, "30 s", weight=18),
    Fault("answer-dropped", provider.drop_answers, "60 s (production: 15 min)", weight=25),
    Fault("proxy-answers", proxy.proxy_answers, "60 s", proxy.BEHIND_A_PROXY, weight=30),
    Fault("search-down", provider.search_down, "60 s", weight=25),
    Fault("postmark-500", provider.outage_500, "60 s", weight=30),
    Fault("postmark-503", provider.outage_503, "60 s", weight=25),
    Fault("postmark-hang", provider.outage_hang, "60 s", weight=30),
    Fault("postmark-slow", provider.outage_slow, "60 s", weight=25),
    Fault("postmark-drops", provider.outage_drops, "60 s", weight=25),
    Fault("rate-limited-429", provider.too_many_requests, "60 s", weight=20),
    Fault("unauthorized-mid-issue", account.unauthorized, "resumes on command", weight=12),
    Fault("out-of-credits", account.out_of_credits, "resumes on command", weight=12),
    Fault("one-406-in-500", items.one_406, "same run", items.FULL_BATCHES, weight=5),
    Fault("one-300-in-500", items.one_300, "same run", items.FULL_BATCHES, weight=5),
    Fault("poison-row", items.poison_rows, "same run", weight=6),
    Fault(
        "clock-off-by-an-hour",
        clocks.shifted_clocks,
        _LEASE,
        clocks.THREE_SENDERS,
        weight=25,
    ),
    Fault(
        "schedule-by-clocks-off-by-an-hour",
        clocks.schedules_by_shifted_clocks,
        f"fires once, and settled in {clocks.FIRE_MAX_S:g} s",
        weight=12,
    ),
    Fault("disk-full", disk.disk_full, "60 s after space", disk.SMALL_DISK, weight=25),
    Fault(
        "rolling-deploy",
        deploy.rolling_deploy,
        "0 failed requests",
        deploy.BALANCED,
        weight=25,
        note="old and new processes run this checkout's code",
    ),
    Fault("redis-lost", redis.redis_lost, "5 s", weight=12),
    Fault("webhooks-many-and-disordered", webhooks.many_and_disordered, "one effect", webhooks.WITH_WEBHOOKS, weight=8),
    Fault("unsubscribe-during-send", account.unsubscribe_meanwhile, "at once", weight=12),
    Fault("publish-50-in-parallel", account.publish_many_times, "one fan-out a key", weight=6),
    Fault("kill9-publishing-while-compiling", publishing.kill_while_compiling, "its compiler ends in 20 s", weight=20),
    Fault("kill9-while-postgres-restarts", database.crash_postgres_and_kill, "10 s after it is up", weight=25),
    Fault("kill9-the-reconciler", processes.kill_the_reconciler, "60 s", weight=30),
    Fault("sigstop-the-reconciler", processes.stop_the_reconciler, "90 s", weight=40),
    Fault("pause-restart-resume", account.pause_restart_resume, "resumes on command", weight=18),
)
