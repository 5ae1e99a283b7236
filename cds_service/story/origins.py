"""Evidence for people, member by member."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards import wording
from cds_service.cards.markdown import plain
from cds_service.domain.findings import Evidence
from cds_service.story.model import Origin


def origins(evidence: Iterable[Evidence]) -> tuple[Origin, ...]:
    """Every item: the resource, its date, how it was read, and what the code or computation calls itself."""
    return tuple(Origin(plain(e.source), e.date, wording.READ_AS.get(e.how, e.how), plain(e.label)) for e in evidence)
