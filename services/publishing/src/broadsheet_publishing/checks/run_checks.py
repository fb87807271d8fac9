"""Check an issue before it is sent: read what the checks need, compile the draft, and look at it in the compiler's
process. No transaction is open meanwhile.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, get_args

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.queue import request_preflight
from broadsheet_common.http.problems import FieldProblem, NotFoundError, ProblemError
from broadsheet_common.mail.mail_body import Footer
from broadsheet_common.mail.merge_fields import AttributeType, MailValues, sample_values
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_publishing.checks import store
from broadsheet_publishing.checks.ab_test_findings import check_ab_test, only_of_variant
from broadsheet_publishing.checks.check_subject import CheckSubject
from broadsheet_publishing.checks.checked_issue import MissingValues, NewsletterFacts, RecentIssues, Unknown
from broadsheet_publishing.checks.finding import CheckName, Finding, did_not_run
from broadsheet_publishing.checks.links.check_links import check_links, findings_of
from broadsheet_publishing.checks.postmark_facts import facts_of
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError, Fault, pointer_to
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.interface import read_draft
from broadsheet_publishing.issues.compile_draft import (
    CompiledDraft,
    CompileInput,
    is_in_archive,
    read_compile_input,
)
from broadsheet_publishing.issues.interface import find_issue, read_attribute_types
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow, find_newsletter

LINK_POLICY: Final = TargetPolicy(allow_http=True)
_LONG_ATTRIBUTE: Final = "&" * 200


class BlockedByFindingsError(ProblemError):
    slug, title, status = "blocked-by-findings", "The checks found what must be mended before the issue is sent", 422

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(
            errors=tuple(
                FieldProblem(
                    pointer=pointer_to(finding.field, finding.variant) if finding.field else "",
                    detail=f"{finding.code}: {finding.detail} {finding.advice}".strip(),
                )
                for finding in findings
            )
        )


async def run_checks(
    engine: AsyncEngine, compiler: Compiler, installation: Installation, issue_id: int, *, with_links: bool
) -> list[Finding]:
    """`with_links`: ask the sites that the issue links to whether they answer.

    Raises:
        NotFoundError
    """
    async with engine.begin() as connection:
        issue = await find_issue(connection, issue_id)
        if issue is None:
            raise NotFoundError("There is no such issue.")
        newsletter = await find_newsletter(connection, issue.newsletter_id)
        assert newsletter is not None, "the issue's foreign key"
        in_archive = is_in_archive(issue.in_archive, issue.segment_id, newsletter)
        given = await read_compile_input(
            connection, await read_draft(connection, issue_id), newsletter, in_archive=in_archive
        )
        subject = await _read_subject(connection, installation, newsletter, given, issue_id=issue_id)
        await request_preflight(connection, newsletter_id=newsletter.id)
    findings = [*_of_ab_test(given, newsletter)]
    for variant, source in enumerate((given.source, *given.others), start=1):
        compiled: CompiledIssue | None = None
        faults: tuple[Fault, ...] = ()
        try:
            compiled = await compiler.compile(source, layout=given.layout, look=given.look, attributes=given.attributes)
        except CompileError as error:
            faults = error.faults
        looked_at = msgspec.structs.replace(subject, source=source)
        found = await _look(compiler, looked_at, compiled, faults, with_links=with_links)
        findings += found if variant == 1 else only_of_variant(found, variant, findings)
    return findings


async def require_no_blocks(
    engine: AsyncEngine, compiler: Compiler, installation: Installation, compiled: CompiledDraft
) -> None:
    """Before it is published. Raises `BlockedByFindingsError`, with everything that blocks."""
    async with engine.connect() as connection:
        subject = await _read_subject(
            connection, installation, compiled.newsletter, compiled.given, issue_id=compiled.issue_id
        )
    findings = [*_of_ab_test(compiled.given, compiled.newsletter)]
    sources = (compiled.given.source, *compiled.given.others)
    contents = (compiled.content, *compiled.others)
    for variant, (source, content) in enumerate(zip(sources, contents, strict=True), start=1):
        looked_at = msgspec.structs.replace(subject, source=source)
        found = await _look(compiler, looked_at, content, (), with_links=False)
        findings += found if variant == 1 else only_of_variant(found, variant, findings)
    if blocks := [finding for finding in findings if finding.severity == "blocks"]:
        raise BlockedByFindingsError(blocks)


def _of_ab_test(given: CompileInput, newsletter: NewsletterRow) -> Iterator[Finding]:
    return check_ab_test(given.ab_test, tracks_opens=newsletter.track_opens, tracks_links=newsletter.track_links)


async def _look(
    compiler: Compiler,
    subject: CheckSubject,
    compiled: CompiledIssue | None,
    faults: tuple[Fault, ...],
    *,
    with_links: bool,
) -> list[Finding]:
    try:
        report = await compiler.check(msgspec.structs.replace(subject, compiled=compiled, faults=faults))
    except CompileError as error:
        advice = "Repeat the checks. If it stays like this, make the issue shorter or simpler."
        return [did_not_run(get_args(CheckName), error.faults[0].detail, advice=advice)]
    if not with_links:
        return report.findings
    return report.findings + findings_of(await check_links(report.links, LINK_POLICY))


async def _read_subject(
    connection: AsyncConnection,
    installation: Installation,
    newsletter: NewsletterRow,
    given: CompileInput,
    *,
    issue_id: int,
) -> CheckSubject:
    preflight, now = await store.find_preflight(connection, newsletter.id)
    stream, sender = facts_of(
        preflight,
        now=now,
        stream=newsletter.message_stream,
        handling=newsletter.unsubscribe_handling,
        from_email=newsletter.from_email,
    )
    types = await read_attribute_types(connection)
    sample = _sample(types, newsletter, installation, now)
    return CheckSubject(
        source=given.source,
        layout_id=given.layout_id,
        compiled=None,
        faults=(),
        newsletter=NewsletterFacts(
            name=newsletter.name,
            postal_address=newsletter.postal_address,
            sender=newsletter.sender or installation.sender,
            language=newsletter.language,
            direction=newsletter.direction,
            tracks_links=newsletter.track_links,
            has_archive=given.look.has_archive,
            unsubscribe_handling=newsletter.unsubscribe_handling,
            public_url=installation.public_url,
        ),
        sender=sender,
        stream=stream,
        recent=RecentIssues(await store.list_recent(connection, newsletter.id, other_than=issue_id)),
        missing_values=await _missing_values(connection, newsletter.id),
        sample=sample,
        others=(_with_long_values(sample, types),),
        footer=Footer(
            newsletter_name=newsletter.name, postal_address=newsletter.postal_address, language=newsletter.language
        ),
    )


def _with_long_values(sample: MailValues, types: dict[str, AttributeType]) -> MailValues:
    long = {
        name: _LONG_ATTRIBUTE if type_ == "text" else sample.subscriber_attributes[name]
        for name, type_ in types.items()
    }
    return msgspec.structs.replace(sample, subscriber_attributes=long)


async def _missing_values(connection: AsyncConnection, newsletter_id: int) -> MissingValues | Unknown:
    shares = await store.read_missing_shares(connection, newsletter_id)
    if shares is None:
        return Unknown("Nobody is confirmed on the newsletter yet.")
    return MissingValues(shares)


def _sample(
    types: dict[str, AttributeType], newsletter: NewsletterRow, installation: Installation, now: datetime
) -> MailValues:
    return msgspec.structs.replace(
        sample_values(types),
        newsletter_name=newsletter.name,
        newsletter_slug=newsletter.slug,
        newsletter_postal_address=newsletter.postal_address,
        issue_published_on=now.astimezone(UTC).date().isoformat(),
        unsubscribe_url=f"{installation.public_url}/unsubscribe/k1.{'A' * 32}",
        preferences_url=f"{installation.public_url}/unsubscribe/k1.{'A' * 32}/choices",
        web_url=f"{installation.public_url}/newsletters/{newsletter.slug}/issues/preview",
    )
