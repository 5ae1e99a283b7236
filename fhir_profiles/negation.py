"""What a text affirms: the text without what it denies, and without what it says of another person.

A denial governs only its own phrase, as in NegEx and ConText: from the trigger to the next boundary, which is a comma,
a conjunction, a preposition or the denied noun itself ("no *metastases* of ..."). In doubt it errs to the safe side: a
tumour that is named counts unless it is the very thing denied. Triggers and boundaries are rows of ``labels.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from fhir_profiles.reading import Negation, label_in, labels, normal_text, says

_SENTENCE = re.compile(r"[;\n!?]|\.(?=\s|$)")
_CLAUSE = re.compile(r"[,()\[\]]|\s[-–—]\s")
_ALTERNATIVES = frozenset({"or", "nor"})
_BREAK = " ; "
_LONGEST_KEPT = 256
"""Longest text that is remembered: what a client sends must not fill the memory."""


@dataclass(slots=True)
class _Clause:
    """Words between two commas, and which of them are taken back."""

    words: list[str]
    denied: set[int] = field(default_factory=set)

    def cover(self, phrases: list[str]) -> dict[int, int]:
        """Where one of the phrases begins, and where the longest that begins there ends."""
        found: dict[int, int] = {}
        for phrase in phrases:
            parts = phrase.split()
            for start in range(len(self.words) - len(parts) + 1):
                if self.words[start : start + len(parts)] == parts:
                    found[start] = max(found.get(start, 0), start + len(parts))
        return found

    def deny_after(self, start: int, rules: Negation) -> bool:
        """Take back what a denial before it governs; whether it governs everything to the end of the clause."""
        for position in range(start, min(len(self.words), start + rules.reach)):
            word = self.words[position]
            if word in rules.ends or (position > start and word in rules.prepositions):
                return False
            self.denied.add(position)
            if word in rules.absorbing:
                return False
        return start + rules.reach >= len(self.words)

    def deny_before(self, end: int, rules: Negation) -> None:
        """Take back what a denial behind it governs."""
        for position in reversed(range(max(0, end - rules.reach), end)):
            if self.words[position] in rules.ends:
                return
            self.denied.add(position)
            if self.words[position] in rules.absorbing:
                return

    def kept(self) -> Iterator[str]:
        """The words that are left; a break stands where some were taken out, so that no phrase grows together."""
        for position, word in enumerate(self.words):
            if position not in self.denied:
                yield word
            elif position - 1 not in self.denied:
                yield ";"


def affirmed(written: str) -> str:
    """The text in normal form without what it denies or says of another person."""
    return _remembered(written) if len(written) <= _LONGEST_KEPT else _affirmed(written)


@lru_cache(maxsize=1024)
def _remembered(written: str) -> str:
    """One text is asked about for tumours, symptoms and sites in turn, and names of conditions repeat."""
    return _affirmed(written)


def _affirmed(written: str) -> str:
    return _BREAK.join(kept for sentence in _SENTENCE.split(written) if (kept := _sentence(sentence)))


def denies(written: str) -> bool:
    """Whether anything in the text is denied."""
    return affirmed(written).replace(";", "").split() != normal_text(written).split()


def _sentence(written: str) -> str:
    """One sentence: its clauses in turn, for a denial may reach into the clause before or behind."""
    clauses = [_Clause(normal_text(part).split()) for part in _CLAUSE.split(written)]
    clauses = [clause for clause in clauses if clause.words]
    listed = False
    for number, clause in enumerate(clauses):
        if says(" ".join(clause.words), labels().other_person):
            clause.denied.update(range(len(clause.words)))
            listed = False
        else:
            listed = listed and any(_ALTERNATIVES.intersection(later.words) for later in clauses[number:])
            listed = _clause(clause, clauses[number - 1] if number else None, listed=listed)
    return " ".join(word for clause in clauses for word in clause.kept())


def _clause(clause: _Clause, before: _Clause | None, *, listed: bool) -> bool:
    """Take back what is denied; whether the denial is of a tumour and may go on with the next item of a list."""
    rules = labels().negation
    inert = {position for start, end in clause.cover(rules.neutral).items() for position in range(start, end)}
    open_ended = False
    if listed and _only_tumours(clause):
        clause.denied.update(range(len(clause.words)))
        open_ended = True
    for start, end in clause.cover(rules.after).items():
        if start in inert:
            continue
        clause.denied.update(range(start, end))
        if {*clause.words[:start], *clause.words[end:]} - set(rules.fillers):
            clause.deny_before(start, rules) if start else clause.deny_after(end, rules)
        elif before is not None:
            before.deny_before(len(before.words), rules)
    for start, end in clause.cover(rules.before).items():
        if start not in inert and start not in clause.denied:
            clause.denied.update(range(start, end))
            open_ended = clause.deny_after(end, rules) and _names_tumour(clause.words[end:])
    return open_ended


def _only_tumours(clause: _Clause) -> bool:
    """Whether the clause is an item of a list of tumours and nothing else."""
    named = clause.cover([phrase for label in labels().tumour for phrase in label.phrases])
    covered = {position for start, end in named.items() for position in range(start, end)}
    return all(p in covered or word in _ALTERNATIVES for p, word in enumerate(clause.words))


def _names_tumour(words: list[str]) -> bool:
    """Whether the words begin with the name of a tumour."""
    label = label_in(" ".join(words), labels().tumour)
    return label is not None and any(" ".join(words).startswith(phrase) for phrase in label.phrases)
