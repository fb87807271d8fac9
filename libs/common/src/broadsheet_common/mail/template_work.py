"""What composing a mail may cost: units of work that are counted while a template is rendered, and their limits."""

VALUE_CHARS_MAX = 20_000
"""Length of a merged value, or of what a filter makes of one."""
WORK_MAX = 1_000_000
"""Units of work that one mail may take. A unit is about 20 ns: what follows was measured, each at its worst."""
CHAR_WORK, SLOW_FILTER_CHAR_WORK, ITEM_WORK = 2, 4, 20
"""A character that is merged, written or filtered; one that a slow filter works on; an item of a list."""
NODE_WORK, EXPRESSION_WORK, FILTER_WORK = 150, 60, 500
"""What a tag or output, a part of an expression, and a filter cost whatever they work on."""
COPIED_CHARS_PER_UNIT, ENCODED_CHARS_PER_UNIT = 16, 6
"""Text that is the same in every mail and only copied; text that has to be encoded for each."""
SEARCH_STEPS_PER_UNIT = 8
"""Looking for one text in another takes time by the product of their lengths, at worst."""
RENDERED_CHARS_MAX = 5 * 1024 * 1024
SEARCHING_FILTERS = frozenset({"remove", "split"})
SLOW_FILTERS = frozenset({"escape_once", "newline_to_br", "strip_newlines", "truncatewords", "url_encode"})


class TemplateError(ValueError):
    """The template cannot be used. `line` counts from 1 and is None when the fault has no place."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
        self.line = line


class TooMuchWorkError(TemplateError):
    """One mail would take more than its `Work`."""

    def __init__(self) -> None:
        super().__init__("It takes too much work: it has too many or too long outputs, conditions or filters")


class Work:
    """What is left of the work that one mail may take, in units (see `WORK_MAX`)."""

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
    """In units of work. What the items of a list hold was charged when it was made."""
    if isinstance(value, str):
        return len(value)
    return len(value) * ITEM_WORK if isinstance(value, list) else 1


def search_work(text: object, wanted: object) -> int:
    return len(text) * len(wanted) // SEARCH_STEPS_PER_UNIT if isinstance(text, str) and isinstance(wanted, str) else 0
