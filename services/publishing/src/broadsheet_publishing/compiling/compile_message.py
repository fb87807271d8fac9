"""The protocol between the service and its compiler's process, pure: length, then a message, one answer for each.
An empty message comes first: the process is ready.

Messages are MessagePack of these types: what a damaged process sends is refused, and cannot become anything else.
"""

from typing import Final

import msgspec

from broadsheet_publishing.checks.check_subject import CheckReport, CheckSubject
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault
from broadsheet_publishing.compiling.issue_source import IssueSource, Layout, Look

LENGTH_BYTES: Final = 4
MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024
"""More than the texts of an issue that are within their limits."""


class CompileOrder(msgspec.Struct, frozen=True, tag="compile"):
    """What to compile: the arguments of `compile_issue`."""

    source: IssueSource
    layout: Layout | None
    look: Look
    attributes: frozenset[str]


class CheckOrder(msgspec.Struct, frozen=True, tag="check"):
    """What to check before it is sent."""

    subject: CheckSubject


Order = CompileOrder | CheckOrder


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    report: CheckReport


class Compiled(msgspec.Struct, frozen=True, tag="compiled"):
    issue: CompiledIssue


class Faulty(msgspec.Struct, frozen=True, tag="faulty"):
    faults: tuple[Fault, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An error of the compiler's own: its type, and the module and line that raised it. Nothing of the text."""

    error: str
    place: str


Answer = Compiled | Checked | Faulty | Failed

encode = msgspec.msgpack.Encoder().encode
decode_order: "msgspec.msgpack.Decoder[Order]" = msgspec.msgpack.Decoder(Order)
decode_answer: "msgspec.msgpack.Decoder[Answer]" = msgspec.msgpack.Decoder(Answer)
