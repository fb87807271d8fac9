"""Compile a newsletter's welcome mail: read what it is made of, and compile it outside of any transaction."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError
from broadsheet_publishing.compiling.compiler import Compiler, CompilerBusyError
from broadsheet_publishing.issues.interface import read_attribute_names
from broadsheet_publishing.layouts.interface import find_layout
from broadsheet_publishing.welcome.welcome_mail import (
    PreparedWelcome,
    WelcomeFault,
    WelcomeInput,
    WelcomeSource,
    issue_source,
    look_of,
    problems_of,
    shown_faults,
)


async def read_welcome_input(
    connection: AsyncConnection, source: WelcomeSource, newsletter: Mapping[str, object]
) -> WelcomeInput:
    """`newsletter`: its columns."""
    layout_id = newsletter.get("layout_id")
    return WelcomeInput(
        source=source,
        layout=await find_layout(connection, layout_id) if isinstance(layout_id, int) else None,
        look=look_of(newsletter),
        attributes=await read_attribute_names(connection),
    )


async def compile_welcome(
    compiler: Compiler, given: WelcomeInput
) -> tuple[CompiledIssue | None, tuple[WelcomeFault, ...]]:
    """The templates, or why there are none. Raises `CompilerBusyError`."""
    if given.source.is_empty and not given.source.is_enabled:
        return None, ()
    try:
        content = await compiler.compile(
            issue_source(given.source), layout=given.layout, look=given.look, attributes=given.attributes
        )
    except CompilerBusyError:
        raise
    except CompileError as error:
        return None, shown_faults(error.faults)
    return content, ()


async def prepare_welcome(
    engine: AsyncEngine,
    compiler: Compiler,
    source: WelcomeSource,
    newsletter: Mapping[str, object],
    *,
    before: WelcomeSource | None,
) -> PreparedWelcome:
    """What is to be saved. `newsletter`: its columns, as they will be.

    Raises:
        InvalidInputError: it is to be sent, and no mail can be made of it.
    """
    async with engine.connect() as connection:
        given = await read_welcome_input(connection, source, newsletter)
    try:
        content, faults = await compile_welcome(compiler, given)
    except CompilerBusyError as error:
        content, faults = None, shown_faults(error.faults)
    if source.is_enabled and faults:
        raise InvalidInputError(errors=problems_of(faults))
    return PreparedWelcome(before=before, given=given, content=content, faults=faults)
