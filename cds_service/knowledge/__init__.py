"""Guideline rows: what they may look like, and how they load."""

from cds_service.knowledge.loader import load_knowledge
from cds_service.knowledge.model import Knowledge

__all__ = ["Knowledge", "load_knowledge"]
