"""What breaks clients when one API document follows another. Pure.

A request that was accepted must be accepted still, and an answer must still be one that the earlier document
describes. New operations, optional members and parameters, members of answers and problem types break nobody.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broadsheet_local.api_contract.rules import Document, operations, resolved
from broadsheet_local.api_contract.schema_cover import Cover, Schema, alternatives

_FIRST_ERROR = "400"
_DEPTH_MAX = 12


class Breaking(msgspec.Struct, frozen=True, order=True):
    """`where` is the operation, with the part of it; `kind` is a short name."""

    where: str
    kind: str
    detail: str = ""


def find_breaking_changes(before: Document, after: Document) -> list[Breaking]:
    """Sorted, each once."""
    return sorted(set(_Comparison(before, after).changes()))


class _Comparison:
    def __init__(self, before: Document, after: Document) -> None:
        self._before = before
        self._after = after
        self._old = before["components"]["schemas"]
        self._new = after["components"]["schemas"]

    def changes(self) -> Iterator[Breaking]:
        following = dict(operations(self._after))
        for name, old in operations(self._before):
            new = following.get(name)
            if new is None:
                yield Breaking(name, "operation-removed")
                continue
            if old.get("operationId") != new.get("operationId"):
                yield Breaking(name, "operation-renamed", f"{old.get('operationId')} is {new.get('operationId')}")
            for scope in sorted(_scopes(new) - _scopes(old)):
                yield Breaking(name, "scope-added", scope)
            yield from self._parameters(name, old, new)
            yield from self._body(f"{name} request", old.get("requestBody", {}), new.get("requestBody", {}))
            yield from self._answers(name, old["responses"], new["responses"])

    def _parameters(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        before, after = _by_name(old, self._before), _by_name(new, self._after)
        for key, parameter in after.items():
            where = f"{name} parameter {key}"
            if key not in before:
                if parameter.get("required"):
                    yield Breaking(where, "required-added")
                continue
            if parameter.get("required") and not before[key].get("required"):
                yield Breaking(where, "required-added")
            yield from self._request(where, before[key].get("schema", {}), parameter.get("schema", {}))
        for key in before.keys() - after.keys():
            yield Breaking(f"{name} parameter {key}", "parameter-removed")

    def _body(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        if new.get("required") and not old.get("required"):
            yield Breaking(where, "required-added", "a body")
        before, after = old.get("content", {}), new.get("content", {})
        for media_type, content in before.items():
            if media_type not in after:
                yield Breaking(where, "media-type-removed", media_type)
            else:
                yield from self._request(where, content["schema"], after[media_type]["schema"])

    def _answers(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        for status, old_answer in old.items():
            if status >= _FIRST_ERROR:
                continue
            where = f"{name} {status}"
            if status not in new:
                yield Breaking(where, "answer-removed")
                continue
            after = resolved(new[status], self._after).get("content", {})
            for media_type, content in resolved(old_answer, self._before).get("content", {}).items():
                if media_type not in after:
                    yield Breaking(where, "media-type-removed", media_type)
                else:
                    yield from self._answer(where, content["schema"], after[media_type]["schema"])
        for status in new.keys() - old.keys():
            if status < _FIRST_ERROR:
                yield Breaking(f"{name} {status}", "answer-added")

    def _request(self, where: str, old: Schema, new: Schema) -> Iterator[Breaking]:
        """What was accepted must be accepted."""
        for gap in Cover(self._new, self._old).gaps(new, old):
            kind = "required-added" if gap.kind == "required" else f"{gap.kind}-narrowed"
            yield Breaking(where + gap.place, kind, gap.detail)
        for place in self._removed(old, new):
            yield Breaking(where + place, "property-removed")

    def _answer(self, where: str, old: Schema, new: Schema) -> Iterator[Breaking]:
        """What is answered must be what was described."""
        for gap in Cover(self._old, self._new).gaps(old, new):
            # A member that is gone is reported as such.
            kind = "no-longer-sure" if gap.kind == "required" else f"{gap.kind}-widened"
            yield Breaking(where + gap.place, kind, gap.detail)
        for place in self._removed(old, new):
            yield Breaking(where + place, "property-removed")

    def _removed(self, old: Schema, new: Schema, place: str = "", depth: int = 0) -> Iterator[str]:
        """The members of `old` that `new` does not have."""
        if depth > _DEPTH_MAX:
            return
        offered = list(alternatives(new, self._new))
        for before in alternatives(old, self._old):
            same = [one for one in offered if one.get("type") == before.get("type")]
            for name, member in before.get("properties", {}).items():
                found = [one["properties"][name] for one in same if name in one.get("properties", {})]
                if not found:
                    yield f"{place}.{name}"
                elif found[0] != member or "$ref" in member:
                    yield from self._removed(member, found[0], f"{place}.{name}", depth + 1)
            items = [one["items"] for one in same if "items" in one]
            if items and "items" in before:
                yield from self._removed(before["items"], items[0], f"{place}[]", depth + 1)


def _scopes(operation: Mapping[str, Any]) -> set[str]:
    return {
        scope for requirement in operation.get("security", []) for scopes in requirement.values() for scope in scopes
    }


def _by_name(operation: Mapping[str, Any], document: Document) -> dict[str, Mapping[str, Any]]:
    found = (resolved(one, document) for one in operation.get("parameters", []))
    return {f"{one['in']} {one['name']}": one for one in found if one["in"] != "path"}
