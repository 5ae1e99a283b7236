"""Prefetch values found in the pass over the body that is made anyway, with a glance at each entry of large Bundles.

A chart may hold thousands of resources of which few mean anything to a service. Looking through them once more costs as
much as the whole rest of a call, so the types of the body say what is to be seen of each. A body that does not fit them
is read without: they accept what EHRs usually send, and nothing is refused for not being usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, Final, Literal

import msgspec

_NOTHING: Final = msgspec.Raw()
_NULL: Final = msgspec.Raw(b"null")


class _Meta(msgspec.Struct, gc=False):
    tag: msgspec.Raw = _NOTHING


class Glance(msgspec.Struct, gc=False, kw_only=True):  # thousands per call, and none in a cycle
    """What is seen of a resource of the type that was asked for.

    Attributes:
        code: as sent; empty when there is none.
        meta: its tag as sent.
    """

    code: msgspec.Raw = _NOTHING
    meta: _Meta | None = None


class GlancedEntry(msgspec.Struct, gc=False):
    """An entry that holds a resource."""

    resource: Glance


class GlancedBundle(msgspec.Struct, kw_only=True):
    """A Bundle of resources of the type that was asked for, and of no other."""

    resourceType: Literal["Bundle"]  # noqa: N815 - spelled as on the wire
    entry: list[GlancedEntry] | None = None
    link: Any = None
    total: Any = None
    meta: msgspec.Raw = _NOTHING


class _Split(msgspec.Struct, gc=False):
    resource: msgspec.Raw


class _SplitBundle(msgspec.Struct):
    entry: list[_Split] | None = None


class _Whole(msgspec.Struct):
    prefetch: dict[str, msgspec.Raw]


_WHOLE: Final = msgspec.json.Decoder(_Whole)


class Glances:
    """The keys a service asks for, and at which of them a glance is taken.

    Attributes:
        values: type of a prefetch object with these keys and no other.
    """

    def __init__(self, keys: Iterable[str], large: Mapping[str, str]) -> None:
        """Make the types for these keys; ``large`` gives the resource type by key where Bundles may be large."""
        bundles = {key: _bundle_of(kind) for key, kind in large.items()}
        known = [(key, bundles.get(key, msgspec.Raw) | msgspec.UnsetType, msgspec.UNSET) for key in keys]
        self.values = msgspec.defstruct("Values", known, forbid_unknown_fields=True)
        split = [(key, _SplitBundle | None, None) for key in large]
        self._split: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Split", [("prefetch", msgspec.defstruct("SplitValues", split))])
        )

    def split(self, body: bytes) -> Mapping[str, list[msgspec.Raw]]:
        """The resources of the Bundles that were glanced at, as they were sent, by key."""
        found = self._split.decode(body).prefetch
        bundles = {key: getattr(found, key) for key in found.__struct_fields__}
        return {key: [entry.resource for entry in bundle.entry or ()] for key, bundle in bundles.items() if bundle}


@cache
def _bundle_of(kind: str) -> Any:
    """A Bundle of resources of this type alone, or null."""
    resource = msgspec.defstruct(
        "ThisGlance", [("resourceType", Literal[kind])], bases=(Glance,), gc=False, kw_only=True
    )
    entry = msgspec.defstruct("ThisEntry", [("resource", resource)], gc=False)
    entries = [("entry", list[entry] | None, None)]  # type: ignore[valid-type]
    return msgspec.defstruct("ThisBundle", entries, bases=(GlancedBundle,), kw_only=True) | None


class Prefetch(Mapping[str, msgspec.Raw]):
    """The values by key, as raw JSON; what was only glanced at is taken from the body when it is asked for."""

    def __init__(self, values: msgspec.Struct, glances: Glances, body: bytes) -> None:
        """Take the values that were found in the body."""
        sent = {key: value for key in values.__struct_fields__ if (value := getattr(values, key)) is not msgspec.UNSET}
        self.glances = {key: value for key, value in sent.items() if isinstance(value, GlancedBundle)}
        self._values = {
            key: _NULL if value is None else value for key, value in sent.items() if key not in self.glances
        }
        self._keys = tuple(sent)
        self._types = glances
        self._body = body

    def __getitem__(self, key: str) -> msgspec.Raw:
        """The whole value."""
        return self._whole[key] if key in self.glances else self._values[key]

    def __iter__(self) -> Iterator[str]:
        """All keys that were sent."""
        return iter(self._keys)

    def __len__(self) -> int:
        """How many keys were sent."""
        return len(self._keys)

    def resources(self, key: str) -> list[msgspec.Raw]:
        """The resources of a Bundle that was glanced at, in its order."""
        return self._resources[key]

    @cached_property
    def _whole(self) -> Mapping[str, msgspec.Raw]:
        return _WHOLE.decode(self._body).prefetch

    @cached_property
    def _resources(self) -> Mapping[str, list[msgspec.Raw]]:
        return self._types.split(self._body)
