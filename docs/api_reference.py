"""The interface of a service for registered clients as Markdown, from its OpenAPI document.

``docs/conf.py`` puts it behind the text of ``docs/api.md`` when the site is built, so that it is never out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

import msgspec

from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts
from cds_service.web.docs_page import Answer, Body, Operation, Page, Schema, Word
from cds_service.web.docs_page import page as arranged
from cds_service.web.openapi import document
from fhir_profiles.terminology import load_terminology
from hooks import SERVICES

_PUBLIC: Final = "https://cds.example.org"
_DAY: Final = date(2026, 11, 25)


def interface() -> Page:
    """The document of a service that only registered clients may call, arranged for reading."""
    parts = Parts(load_knowledge(), load_terminology(), lambda: _DAY, lambda: "", public_url=_PUBLIC)
    made = document(SERVICES, parts, demo=False, metrics=True)
    return arranged(msgspec.json.decode(msgspec.json.encode(made)))


def reference() -> str:
    """Who may call, operations, headers and schemas."""
    shown = interface()
    lines = ["## Who may call", "", *_paragraphs(shown.authentication), "## Operations", ""]
    for name, said, operations in shown.subjects:
        lines += [f"### {name}", "", said, ""]
        lines += [line for one in operations if one.method != "OPTIONS" for line in _operation(one)]
    lines += ["## Headers of answers", "", "| header | says |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(said)} |" for name, said in shown.headers]
    lines += ["", "## Schemas", "", *(line for schema in shown.schemas for line in _schema(schema))]
    return "\n".join(lines).rstrip() + "\n"


def _operation(one: Operation) -> Iterator[str]:
    yield from (f"#### `{one.method} {one.path}`", "")
    yield from (f"**{one.summary}**{' (for registered clients)' if one.protected else ''}", "")
    yield from _paragraphs(one.said)
    if one.parameters:
        yield from ("| parameter | in | needed | value |", "|---|---|---|---|")
        for name, where, required, shape in one.parameters:
            yield f"| `{name}` | {where} | {'yes' if required else 'no'} | {_cell(_text(shape))} |"
        yield ""
    if one.bodies:
        yield from (f"Body: {_bodies(one.bodies)}.", "")
    yield from ("| status | when | body | headers |", "|---|---|---|---|", *map(_answer, one.answers), "")


def _answer(answer: Answer) -> str:
    said = "<br>".join(_text(paragraph) for paragraph in answer.said)
    headers = ", ".join(f"`{name}`" for name in answer.headers)
    return f"| {answer.status} | {_cell(said)} | {_cell(_bodies(answer.bodies)) or 'none'} | {headers} |"


def _bodies(bodies: Iterable[Body]) -> str:
    return "; ".join(f"`{body.media_type}`, {_text(body.shape)}" for body in bodies)


def _schema(schema: Schema) -> Iterator[str]:
    yield from (f"(schema-{_anchor(schema.name)})=", f"### {schema.name}", "")
    if schema.said:
        yield from (schema.said, "")
    if schema.shape:
        yield from (_text(schema.shape), "")
    if schema.members:
        yield from ("| member | needed | value | says |", "|---|---|---|---|")
        for member in schema.members:
            needed = "yes" if member.required else "no"
            yield f"| `{member.name}` | {needed} | {_cell(_text(member.shape))} | {_cell(member.said)} |"
        yield ""


def _paragraphs(paragraphs: Iterable[Iterable[Word]]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from (_text(paragraph), "")


def _text(words: Iterable[Word]) -> str:
    return "".join(_word(word) for word in words).strip()


def _word(word: Word) -> str:
    if word.link:
        return f"[{word.text}](#{_anchor(word.link)})"
    return f"`{word.text}`" if word.code else word.text


def _anchor(name: str) -> str:
    return name.lower().replace(".", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
