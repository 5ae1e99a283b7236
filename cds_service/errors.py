"""The one tree of errors. Each class has a stable slug; nothing here knows HTTP (see ``web/problems.py``).

Messages say what was wrong, where, and what to do. They never quote patient data.
"""

from __future__ import annotations

from typing import ClassVar


class PnetCdsError(Exception):
    """Root of all errors this service raises on purpose.

    Attributes:
        slug: stable identifier for logs, answers and documentation.
    """

    slug: ClassVar[str] = "error"


class KnowledgeError(PnetCdsError):
    """A guideline table cannot be used; the service does not start."""

    slug = "knowledge-invalid"


class TerminologyError(PnetCdsError):
    """A code table cannot be used; the service does not start."""

    slug = "terminology-invalid"


class SettingsError(PnetCdsError):
    """The environment holds a setting that cannot be used."""

    slug = "settings-invalid"


class SiteError(PnetCdsError):
    """The site file cannot be used; the service does not start."""

    slug = "site-invalid"


class InstallationError(PnetCdsError):
    """The installed packages are not the ones of this distribution."""

    slug = "installation-mixed"


class StoreError(PnetCdsError):
    """The store cannot be reached or its schema is not the expected one."""

    slug = "store-unavailable"


class RecordRefused(StoreError):
    """The store is there, but does not take this record: a value is too long, or one is missing."""


class ClientInvalid(PnetCdsError):
    """The registration of a client, or a file with its keys, cannot be used (command line)."""

    slug = "client-invalid"


class Unauthenticated(PnetCdsError):
    """The call does not prove which registered client it comes from.

    Attributes:
        reason: a slug for the log; the answer never carries it (CH-137).
    """

    slug = "unauthenticated"

    def __init__(self, reason: str) -> None:
        super().__init__("Not authenticated.")
        self.reason = reason


class NotPermitted(PnetCdsError):
    """The client is known, but not registered for the service it calls."""

    slug = "service-not-permitted"


class RateLimited(PnetCdsError):
    """More calls in a time than agreed.

    Attributes:
        retry_after: seconds until the next call is answered.
    """

    slug = "rate-limited"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FactsError(PnetCdsError):
    """Plain facts given on the command line do not fit the vocabulary."""

    slug = "facts-invalid"


class RemoteError(PnetCdsError):
    """Another server could not be reached or did not answer with JSON."""

    slug = "remote-unavailable"


class RequestError(PnetCdsError):
    """A call that cannot be answered as it came in."""

    slug = "request-invalid"


class NotJson(RequestError):
    """The body is not a JSON object."""

    slug = "body-not-json"


class UnsupportedMediaType(RequestError):
    """The body is declared to be something other than JSON."""

    slug = "media-type-unsupported"


class BodyTooLarge(RequestError):
    """The body is larger than the configured limit."""

    slug = "body-too-large"


class InvalidRequest(RequestError):
    """A rule of CDS Hooks that the answer depends on is broken."""

    slug = "request-invalid"


class UnknownService(RequestError):
    """No service has this id."""

    slug = "service-unknown"


class HookMismatch(RequestError):
    """The service is not offered for the hook named in the call."""

    slug = "hook-not-offered"


class PatientMismatch(RequestError):
    """An order or appointment of the call is about another patient than the call."""

    slug = "patient-mismatch"


class UnsupportedFhirVersion(RequestError):
    """Resources of the call are plainly of another FHIR version than R4."""

    slug = "fhir-version-unsupported"


class FhirServerRefused(RequestError):
    """The FHIR server that is named may not be read by this service."""

    slug = "fhir-server-not-allowed"


class PrefetchMissing(RequestError):
    """Data without which no useful and safe answer exists was not supplied."""

    slug = "prefetch-missing"


class UnknownArtefact(RequestError):
    """The FHIR endpoint holds no such artefact, or nothing about such a patient."""

    slug = "artefact-unknown"


class LaunchError(PnetCdsError):
    """The SMART app cannot be opened: the EHR's servers did not do their part."""

    slug = "launch-failed"


class UnknownIssuer(LaunchError):
    """The app is not registered with the FHIR server it is launched from; nothing was asked of that server."""

    slug = "issuer-unknown"


class LaunchUnknown(LaunchError):
    """The way back from the EHR does not end a launch that began in this browser a short time ago."""

    slug = "launch-unknown"


class LaunchDenied(LaunchError):
    """The EHR, or the person asked there, did not give the app access."""

    slug = "launch-denied"


class LaunchWithoutPatient(LaunchError):
    """The EHR opened the app without a patient."""

    slug = "launch-without-patient"


class ScopesMissing(LaunchError):
    """The EHR gave access to less than the story needs."""

    slug = "scopes-missing"


class ChartUnreadable(LaunchError):
    """What the story cannot do without could not be read from the FHIR server."""

    slug = "chart-unreadable"


class CallInvalid(PnetCdsError):
    """What the EHR of the command line was told to do cannot be done."""

    slug = "call-invalid"
