"""The knowledge as it holds at a site, checked against the code tables the site names."""

from __future__ import annotations

from cds_service.knowledge import Knowledge, knowledge_at, load_knowledge, load_site
from fhir_profiles.drafts import check_tracer
from fhir_profiles.terminology import Terminology


def knowledge_for(site_file: str, terminology: Terminology) -> Knowledge:
    """The knowledge as it holds at the site of a site file.

    Raises:
        SiteError: the site file cannot be used.
    """
    if not site_file:
        return load_knowledge()
    site = load_site(site_file)
    knowledge = knowledge_at(site)
    check_tracer(knowledge.order_writing, terminology)
    return knowledge
