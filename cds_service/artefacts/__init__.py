"""The knowledge and the profiles as FHIR R4 resources: what an implementation guide holds, made from the rows.

Nothing is decided here and nothing is written by hand twice: codes come from the code tables, rules from the guideline
tables, profiles from ``fhir_profiles/definitions``. The same knowledge gives the same bytes.
"""

from cds_service.artefacts.collection import Artefacts, artefacts

__all__ = ["Artefacts", "artefacts"]
