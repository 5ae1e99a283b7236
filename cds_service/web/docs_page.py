"""The OpenAPI document arranged for the page: operations by subject, and schemas as lists of their members."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]

_METHODS: Final = ("get", "post", "options")
_SEVERAL: Final = {"oneOf": " or ", "anyOf": " or ", "allOf": " and "}
_DEEPEST: Final = 4
"""Levels of objects without a name of their own that are shown in the list of members."""


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text; some lead to a schema, some are code."""

    text: str
    link: str = ""
    code: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What a body is: its media type, its schema in words, and examples by title."""

    media_type: str
    shape: tuple[Word, ...]
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an operation."""

    status: str
    said: tuple[tuple[Word, ...], ...]
    headers: tuple[str, ...]
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    name: str
    method: str
    path: str
    summary: str
    said: tuple[tuple[Word, ...], ...]
    parameters: tuple[tuple[str, str, bool, tuple[Word, ...]], ...]
    protected: bool
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object."""

    name: str
    required: bool
    shape: tuple[Word, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A named schema."""

    name: str
    said: str
    shape: tuple[Word, ...]
    members: tuple[Member, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page shows."""

    title: str
    version: str
    said: tuple[tuple[Word, ...], ...]
    authentication: tuple[tuple[Word, ...], ...]
    subjects: tuple[tuple[str, str, tuple[Operation, ...]], ...]
    headers: tuple[tuple[str, str], ...]
    schemas: tuple[Schema, ...]


def page(document: Json) -> Page:
    """The document as the page shows it."""
    operations = tuple(_operations(document))
    components = document["components"]
    scheme = components.get("securitySchemes", {}).get("client", {})
    return Page(
        title=document["info"]["title"],
        version=document["info"]["version"],
        said=_paragraphs(document["info"]["description"]),
        authentication=_paragraphs(scheme.get("description", "")),
        subjects=tuple(
            (tag["name"], tag["description"], tuple(one for name, one in operations if name == tag["name"]))
            for tag in document["tags"]
        ),
        headers=tuple((name, header["description"]) for name, header in components["headers"].items()),
        schemas=tuple(_schema(name, schema) for name, schema in components["schemas"].items()),
    )


def _operations(document: Json) -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        for method in (name for name in _METHODS if name in item):
            one = item[method]
            parameters = (*item.get("parameters", ()), *one.get("parameters", ()))
            yield (
                one["tags"][0],
                Operation(
                    one["operationId"],
                    method.upper(),
                    path,
                    one["summary"],
                    _paragraphs(one.get("description", "")),
                    tuple((p["name"], p["in"], p.get("required", False), _shape(p["schema"])) for p in parameters),
                    bool(one.get("security")),
                    _bodies(one.get("requestBody", {})),
                    tuple(_answer(status, answer) for status, answer in one["responses"].items()),
                ),
            )


def _answer(status: str, answer: Json) -> Answer:
    return Answer(status, _paragraphs(answer["description"]), tuple(answer.get("headers", ())), _bodies(answer))


def _bodies(holder: Json) -> tuple[Body, ...]:
    return tuple(
        Body(
            media_type,
            _shape(content["schema"]),
            tuple((shown.get("summary", name), _written(shown["value"])) for name, shown in _examples(content)),
        )
        for media_type, content in holder.get("content", {}).items()
    )


def _examples(content: Json) -> Iterator[tuple[str, Json]]:
    yield from content.get("examples", {}).items()


def _schema(name: str, schema: Json) -> Schema:
    members = tuple(_members(schema, "", _DEEPEST))
    return Schema(name, schema.get("description", ""), () if members else _shape(schema), members, _written(schema))


def _members(schema: Json, path: str, depth: int) -> Iterator[Member]:
    """The members of an object, and those of objects in it that have no name."""
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        if inner is True:
            continue
        where = f"{path}.{name}" if path else name
        yield Member(where, name in required, _shape(inner), inner.get("description", ""))
        if depth:
            yield from _members(inner, where, depth - 1)
            if isinstance(inner.get("items"), dict):
                yield from _members(inner["items"], f"{where}[]", depth - 1)


def _shape(schema: Any) -> tuple[Word, ...]:
    """A schema in a few words; what they leave out is in its source."""
    if not isinstance(schema, dict):
        return (Word("anything"),)
    if "enum" in schema:
        schema = {"oneOf": [{"const": value} for value in schema["enum"]]}
    for several, word in _SEVERAL.items():
        if several in schema:
            return _joined(map(_shape, schema[several]), word)
    if schema.get("type") == "array" and "items" in schema:
        return (Word("list of "), *_shape(schema["items"]))
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return (Word("object of "), *_shape(schema["additionalProperties"]))
    return _simple(schema)


def _simple(schema: Json) -> tuple[Word, ...]:
    """A schema that holds no others."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (Word(name, link=f"schema-{name}"),)
    if "const" in schema:
        return (Word(_written(schema["const"]), code=True),)
    kind = schema.get("type", "anything")
    named = " or ".join(kind) if isinstance(kind, list) else str(kind)
    form = schema.get("format") or schema.get("pattern")
    return (Word(f"{named} "), Word(form, code=True)) if form else (Word(named),)


def _joined(groups: Iterator[tuple[Word, ...]], word: str) -> tuple[Word, ...]:
    found: list[Word] = []
    for group in groups:
        found += [Word(word), *group] if found else group
    return tuple(found)


def _paragraphs(text: str) -> tuple[tuple[Word, ...], ...]:
    """Paragraphs and list items, with what stands between backticks as code."""
    found = (part.removeprefix("- ").replace("\n", " ") for part in re.split(r"\n\n|\n(?=- )", text) if part)
    return tuple(
        tuple(Word(piece, code=number % 2 == 1) for number, piece in enumerate(part.split("`")) if piece)
        for part in found
    )


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1 if isinstance(value, dict | list) else None)
