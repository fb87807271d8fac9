"""A row of the fault table as chaos plays it."""

from collections.abc import Awaitable, Callable

import msgspec

from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage


class Fault(msgspec.Struct, frozen=True):
    """`bound` is the table's recovery bound in words, scaled by the shortened settings; `weight` is roughly how many
    seconds a seed takes: the longest are started first.
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    bound: str
    stack: StackOptions = StackOptions()
    weight: float = 15.0
    note: str = ""
