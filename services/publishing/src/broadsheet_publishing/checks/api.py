"""The JSON API on the checks before sending; below `/api/v1/issues`."""

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.run_checks import run_checks
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.issues.interface import newsletter_of_issue
from broadsheet_publishing.newsletters.installation import Installation


class CheckOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`links`: also ask the sites that the issue links to whether they answer, which takes up to a minute."""

    links: bool = False


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, the most severe first. With findings that block, the issue is not published."""

    is_blocked: bool
    findings: list[Finding]


class CheckController(Controller):
    path = "/api/v1/issues"
    tags = ("Checks",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/checks",
        operation_id="checkIssue",
        summary="What should be mended before an issue is sent",
        status_code=200,
        guards=[requires("issues:preview", newsletter=newsletter_of_issue), json_only],
        responses=documents(NotFoundError, InvalidInputError, body=True),
    )
    async def check_issue(
        self,
        issue_id: PathId,
        data: JSONBody[CheckOptions],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
    ) -> Checks:
        """Each finding has a stable code, a place in the source, and what to do. docs/checks.md lists them."""
        findings = await run_checks(engine, compiler, installation, issue_id, with_links=data.links)
        order = {"blocks": 0, "warns": 1, "notes": 2}
        findings.sort(key=lambda finding: order[finding.severity])
        return Checks(is_blocked=any(one.severity == "blocks" for one in findings), findings=findings)
