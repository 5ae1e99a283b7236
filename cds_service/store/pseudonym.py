"""Patients by keyed hash: the same patient can be recognised in the store, and nobody can be found by it."""

from __future__ import annotations

import hmac
import json


def patient_pseudonym(key: bytes, client: str, fhir_server: str, patient_id: str) -> str:
    """HMAC-SHA-256, in hex, over who called, from which FHIR server, about which patient.

    Ids of patients are unique within one FHIR server only, so client and server are part of what is hashed. The parts
    are written as a JSON list, so that no two different triples give the same text.
    """
    said = json.dumps([client, fhir_server.rstrip("/"), patient_id]).encode()
    return hmac.digest(key, said, "sha256").hex()
