"""The upper limit: claim 500 rows, render their mails, send one POST, record the result. It does nothing else that
Broadsheet does.

No lease, no attempt record before the call, no check for people who have unsubscribed, no signed links, no
reconciling: a crash loses or doubles mail. Each step is as fast as Python allows: the claim is the next number of
a sequence, the record is one INSERT, templates are parsed once and rendered by Broadsheet's own fast path
(python-liquid takes three times as long), and messages are encoded from structs to bytes in one step. The mails
have the same fields and the same length as Broadsheet's, so that the sandbox does the same work for both.
"""

import asyncio
import os
import uuid

import asyncpg
import httpx
import msgspec
import uvloop

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.merge_fields import SHARED_VARIABLES, MailValues
from broadsheet_local.bench.compared.comparison_lock import pass_start_gate
from broadsheet_local.bench.compared.sender_settings import BATCH, SenderSettings, read_settings
from broadsheet_local.bench.inputs.issue_body import NEWSLETTER_NAME
from broadsheet_local.environment import MAIL_FROM

CALL_TIMEOUT_S = 60.0
TOKEN = "k1.AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105  # as long as a link's token, and no secret


class Header(msgspec.Struct, rename="pascal"):
    name: str
    value: str


class Message(msgspec.Struct, rename="pascal"):
    from_: str = msgspec.field(name="From")
    to: str
    subject: str
    html_body: str
    text_body: str
    message_stream: str
    headers: tuple[Header, ...]
    metadata: dict[str, str]
    tag: str


class Answer(msgspec.Struct, rename="pascal"):
    message_id: uuid.UUID = msgspec.field(name="MessageID")


class PlainSender:
    def __init__(self, settings: SenderSettings, pool: asyncpg.Pool, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._pool = pool
        self._client = client
        self._headers = settings.headers
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(list[Answer])

    async def load(self) -> None:
        title, html_content, text_content = await self._pool.fetchrow("SELECT * FROM issue")
        self._title = title
        self._shared = MailValues(
            subscriber_name="",
            subscriber_email="",
            newsletter_name=NEWSLETTER_NAME,
            issue_title=title,
            unsubscribe_url="",
        )
        names = SHARED_VARIABLES | {"issue.title"}
        self._html = mail_template.parse(html_content, "html").filled(self._shared, names)
        self._text = mail_template.parse(text_content, "text").filled(self._shared, names)

    async def send_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.calls):
                tasks.create_task(self._send_batches())

    async def _send_batches(self) -> None:
        url = f"{self._settings.sandbox_url}/email/batch"
        while True:
            async with self._pool.acquire() as connection:
                first = await connection.fetchval("SELECT nextval('next_batch')") * BATCH
                if first >= self._settings.mails:
                    return
                rows = await connection.fetch(
                    "SELECT id, email, name FROM recipient WHERE id > $1 AND id <= $2", first, first + BATCH
                )
            body = self._encoder.encode([self._message(*row) for row in rows])
            response = await self._client.post(url, content=body, headers=self._headers)
            response.raise_for_status()
            answers = self._decoder.decode(response.content)
            await self._pool.execute(
                "INSERT INTO sent SELECT * FROM unnest($1::integer[], $2::uuid[])",
                [row[0] for row in rows],
                [answer.message_id for answer in answers],
            )

    def _message(self, id_: int, email: str, name: str) -> Message:
        unsubscribe_url = f"{self._settings.public_url}/unsubscribe/{TOKEN}"
        values = msgspec.structs.replace(
            self._shared, subscriber_name=name, subscriber_email=email, unsubscribe_url=unsubscribe_url
        )
        return Message(
            from_=MAIL_FROM,
            to=email,
            subject=self._title,
            html_body=self._html.render(values),
            text_body=self._text.render(values),
            message_stream="broadcast",
            headers=(
                Header("List-Unsubscribe", f"<{unsubscribe_url}>"),
                Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                Header("List-ID", "<newsletter.127.0.0.1>"),
                Header("Feedback-ID", "1:newsletter:newsletter:broadsheet"),
            ),
            metadata={"delivery": f"1-{id_}", "attempt": "00000000-0000-0000-0000-000000000000"},
            tag="issue-1",
        )


async def run(settings: SenderSettings) -> None:
    async with (
        asyncpg.create_pool(settings.database_url, min_size=settings.calls, max_size=settings.calls) as pool,
        httpx.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False) as client,
    ):
        sender = PlainSender(settings, pool, client)
        await sender.load()
        await pass_start_gate(settings.database_url, os.getpid())
        await sender.send_all()


if __name__ == "__main__":
    uvloop.run(run(read_settings()))
