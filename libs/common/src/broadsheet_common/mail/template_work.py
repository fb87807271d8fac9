"""Limits on the cost of composing a mail: units of work, counted while a template is rendered."""

VALUE_CHARS_MAX = 20_000
"""Length of a merged value, or of a filter's result."""
WORK_MAX = 1_000_000
"""Units of work that one mail may take. A unit is about 20 ns. The costs below were measured, each in its worst
case.
"""
CHAR_WORK, SLOW_FILTER_CHAR_WORK, ITEM_WORK = 2, 4, 20
"""Cost of a character that is merged, written or filtered; of one that a slow filter works on; of an item of a list."""
NODE_WORK, EXPRESSION_WORK, FILTER_WORK = 150, 60, 500
"""Fixed cost of a tag or output, of a part of an expression, and of a filter, whatever they work on."""
COPIED_CHARS_PER_UNIT, ENCODED_CHARS_PER_UNIT = 16, 6
"""Characters per unit: of text that is the same in every mail and only copied; of text that is encoded for each
mail.
"""
SEARCH_STEPS_PER_UNIT = 8
"""Searching one text for another takes time proportional to the product of their lengths, in the worst case."""
RENDERED_CHARS_MAX = 5 * 1024 * 1024
SEARCHING_FILTERS = frozenset({"remove", "split"})
SLOW_FILTERS = frozenset({"escape_once", "newline_to_br", "strip_newlines", "truncatewords", "url_encode"})


class TemplateError(ValueError):
    """The template cannot be used. `line` and `column` count from 1; None if the fault has no place.

    The error's text begins with the line; `fault` is the text without it.
    """

    def __init__(self, fault: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(fault if line is None else f"Line {line}: {fault}")
        self.fault = fault
        self.line = line
        self.column = column


class TooMuchWorkError(TemplateError):
    """One mail would take more than its `Work` allows."""

    def __init__(self) -> None:
        super().__init__("It takes too much work: it has too many or too long outputs, conditions or filters")


class Work:
    """The work that one mail may still take, in units (see `WORK_MAX`)."""

    __slots__ = ("_allowed", "left")

    def __init__(self, units: int = WORK_MAX) -> None:
        self._allowed = units
        self.left = units

    @property
    def used(self) -> int:
        return self._allowed - self.left

    def charge(self, units: int) -> None:
        """Raises `TooMuchWorkError`."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWorkError


def too_long() -> TemplateError:
    return TemplateError(f"It renders to more than {RENDERED_CHARS_MAX} characters")


def size_of(value: object) -> int:
    """The size in units of work. A list's texts are only compared: what is written of them is charged by itself."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return len(value) * ITEM_WORK + sum(map(len, value)) // COPIED_CHARS_PER_UNIT
    return 1


def search_work(text: object, wanted: object) -> int:
    return len(text) * len(wanted) // SEARCH_STEPS_PER_UNIT if isinstance(text, str) and isinstance(wanted, str) else 0
