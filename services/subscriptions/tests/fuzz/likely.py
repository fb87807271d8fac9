"""What is likely to be there, by the name of a field."""

from typing import Any, Final

from .served import ATTRIBUTES, PEOPLE

TREES: Final[tuple[dict[str, Any], ...]] = (
    {"field": "tag", "op": "has", "value": "tag-1"},
    {"all": []},
    {"not": {"field": "attributes.age", "op": "gt", "value": 3}},
    {
        "any": [
            {"field": "tag", "op": "has", "value": "x"},
            {"all": [{"field": "name", "op": "contains", "value": "a"}]},
        ]
    },
)


def likely(key: str, tokens: list[str]) -> tuple[Any, ...]:
    """Values for a field of that name which may well get past validation; empty where there is no telling."""
    if key.endswith("_id"):
        return (1, 2, 3)
    if key.endswith("_ids"):
        return ([1], None)
    return {
        "email": (*PEOPLE, "new@example.com"),
        "url": ("https://hooks.example.com/", "https://hooks.example.com:8443/a?b=c"),
        "token": tuple(tokens),
        "filter": TREES,
        "name": (*(name for name, _ in ATTRIBUTES), "Somebody"),
        "If-Match": ("*",),
        "cursor": ("djE6Mg",),
    }.get(key, ())
