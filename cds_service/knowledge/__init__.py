"""Guideline rows: what they may look like, and how they load."""

from cds_service.knowledge.loader import knowledge_at, load_knowledge
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.site import DEFAULT_SITE, Site, load_site

__all__ = ["DEFAULT_SITE", "Knowledge", "Site", "knowledge_at", "load_knowledge", "load_site"]
