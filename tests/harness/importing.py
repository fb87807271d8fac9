"""The background work of imports, run at once instead of at its intervals."""

from datetime import timedelta

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.imports.running.import_worker import ImportPolicy, ImportWorker
from broadsheet_subscriptions.sign_up.confirmation_token import random_token
from broadsheet_subscriptions.sign_up.store import MailBounds
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy
from harness.cluster import Database
from harness.keys import ERASURE_KEYS

PUBLIC_URL = "https://news.example.com"


def policy_of_import(lease: timedelta = timedelta(seconds=30)) -> ImportPolicy:
    return ImportPolicy(
        csv_bytes_max=1 << 30,
        xlsx_bytes_max=100 << 20,
        upload_max=timedelta(days=1),
        lease=lease,
        kept=timedelta(days=30),
        confirmations_per_minute=600,
        timeout_s=10,
    )


async def tidy_imports(database: Database) -> int:
    """Run the worker's clean-up between imports at once; returns how much was removed."""
    url = PostgresUrl(database.url_for("broadsheet_subscriptions"))
    engine = create_engine(url, application_name="test", pool_size=2, timeout_s=10)
    bounds = MailBounds(cool_down=timedelta(seconds=60), mailbox_mails_max=10, mailbox_window=timedelta(days=1))
    confirmation = ConfirmationPolicy(
        PUBLIC_URL, timedelta(days=7), bounds, random_token, AddressHasher.parse(ERASURE_KEYS.reveal())
    )
    try:
        return await ImportWorker(engine, policy_of_import(), confirmation).tidy()
    finally:
        await engine.dispose()
