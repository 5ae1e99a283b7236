"""Demo mode: the EHR's side of a SMART launch, so that the app opens from a card without any sandbox.

It gives access to the synthetic patients and to nothing else, to whoever asks: everybody may see them anyway. What it
hands out (launch handles, codes, tokens) is signed and says what it is good for, so nothing is kept.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request
from itsdangerous import BadData, URLSafeTimedSerializer

from cds_service.errors import InvalidRequest, UnknownArtefact
from cds_service.smart.launch import MESSAGING
from cds_service.store.base import Store, SyntheticPatient
from cds_service.web.access import LAUNCH
from cds_service.web.guideline import harden
from fhir_profiles.synthetic import is_draft, moved_to, resources, searched

PREFIX: Final = "/demo/ehr"
_SECONDS: Final = 600
_SEARCHED_BY: Final = frozenset({"patient", "category", "status", "_sort", "_count"})


def issuer(base: str) -> str:
    """Base URL of the demo's FHIR server."""
    return f"{base}{PREFIX}/fhir"


class _Handles:
    """Signed values that say what they are for and end by themselves."""

    def __init__(self, key: bytes) -> None:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._signer = URLSafeTimedSerializer(key, salt="pnet-cds demo EHR", signer_kwargs=options)

    def make(self, use: str, **said: str) -> str:
        return str(self._signer.dumps({"use": use} | said))

    def read(self, use: str, given: str) -> Mapping[str, str]:
        """What a handle says.

        Raises:
            InvalidRequest: it is none of ours, for something else, or too old.
        """
        try:
            said: Mapping[str, str] = self._signer.loads(given, max_age=_SECONDS)
        except BadData:
            said = {}
        if said.get("use") != use:
            raise InvalidRequest(f"The demo EHR gave out no such {use}, or not in the last ten minutes.")
        return said


class _Ehr:
    """The views; see :func:`blueprint`."""

    def __init__(self, store: Store, today: Callable[[], date], handles: _Handles, base: str) -> None:
        self._store, self._today, self._handles = store, today, handles
        self._base, self._back = base, f"{base}{LAUNCH}/callback"

    def configuration(self) -> Response:
        """What SMART apps look for."""
        return jsonify(
            {
                "authorization_endpoint": f"{self._base}{PREFIX}/authorize",
                "token_endpoint": f"{self._base}{PREFIX}/token",
                "capabilities": ["launch-ehr", "launch-standalone", "client-public", "permission-v2"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    def launch(self, slug: str) -> Response:
        """What the EHR's page needs to open the app about a patient, from a card or not."""
        _patient(self._store, slug)
        context, messages = request.args.get("appContext", ""), secrets.token_urlsafe()
        handle = self._handles.make("launch", patient=slug, context=context, messages=messages)
        return jsonify({"iss": issuer(self._base), "launch": handle, "messagingHandle": messages})

    def authorize(self) -> Response:
        """Let the app in, or ask about whom when it was opened on its own."""
        asked = request.args
        if asked.get("redirect_uri") != self._back or asked.get("aud", "").rstrip("/") != issuer(self._base):
            raise InvalidRequest("The demo EHR knows one app only, which comes back to this service.")
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            raise InvalidRequest("The demo EHR wants a code challenge (PKCE, S256).")
        if "launch" not in asked and "patient" not in asked:
            return self._choices()
        said = self._handles.read("launch", asked["launch"]) if "launch" in asked else asked
        code = self._handles.make(
            "code",
            patient=said["patient"],
            context=said.get("context", ""),
            messages=said.get("messages", ""),
            scope=asked.get("scope", ""),
            challenge=asked["code_challenge"],
        )
        return make_response(redirect(f"{self._back}?{urlencode({'code': code, 'state': asked.get('state', '')})}"))

    def _choices(self) -> Response:
        patients = self._store.synthetic()
        choices = [(found.title, f"?{urlencode({**request.args, 'patient': found.slug})}") for found in patients]
        root = urlsplit(self._base).path.rstrip("/")
        return harden(make_response(render_template("smart/choose.html", choices=choices, root=root)))

    def token(self) -> Response:
        """A token for a code and the verifier that belongs to it."""
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        try:
            said = self._handles.read("code", request.form.get("code", ""))
        except InvalidRequest:
            said = {"challenge": ""}
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != said["challenge"]:
            return make_response(jsonify({"error": "invalid_grant"}), HTTPStatus.BAD_REQUEST)
        return jsonify(self._granted(said))

    def _granted(self, said: Mapping[str, str]) -> dict[str, Any]:
        ids = {found["resourceType"].lower(): found["id"] for found in self._chart(said["patient"])}
        granted = {
            "access_token": self._handles.make("token", patient=said["patient"]),
            "token_type": "Bearer",
            "expires_in": _SECONDS,
            "scope": said["scope"],
        }
        granted |= {name: ids[name] for name in ("patient", "encounter") if name in ids}
        if said["messages"] and MESSAGING in said["scope"].split():
            page = urlsplit(self._base)
            granted["smart_web_messaging_origin"] = f"{page.scheme}://{page.netloc}"
            granted["smart_web_messaging_handle"] = said["messages"]
        return granted | ({"appContext": said["context"]} if said["context"] else {})

    def search(self, kind: str) -> Response:
        """A search in the chart the token is good for."""
        if not set(request.args) <= _SEARCHED_BY:
            raise InvalidRequest(f"The demo's FHIR server searches by {', '.join(sorted(_SEARCHED_BY))} only.")
        return jsonify(searched(self._of_token(), kind, request.args))

    def read(self, kind: str, identifier: str) -> Response:
        """A resource of the chart the token is good for."""
        found = next((r for r in self._of_token() if (r["resourceType"], r["id"]) == (kind, identifier)), None)
        if found is None:
            raise UnknownArtefact("The demo's FHIR server holds no such resource of this patient.")
        return jsonify(found)

    def _of_token(self) -> list[dict[str, Any]]:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._chart(self._handles.read("token", bearer)["patient"])

    def _chart(self, slug: str) -> list[dict[str, Any]]:
        """The chart as a FHIR server has it: drafts are in the EHR's session only."""
        patient = _patient(self._store, slug)
        moved = moved_to(patient.bundle, date.fromisoformat(patient.as_of), self._today())
        return [resource for resource in resources(moved) if not is_draft(resource)]


def blueprint(store: Store, today: Callable[[], date], key: bytes, base: str) -> Blueprint:
    """``/demo/ehr``: launch handles, authorization, tokens, and a FHIR server that answers to the tokens."""
    routes = Blueprint("demo-ehr", __name__, url_prefix=PREFIX)
    ehr = _Ehr(store, today, _Handles(key), base)
    routes.get("/launch/<slug>")(ehr.launch)
    routes.get("/authorize")(ehr.authorize)
    routes.post("/token")(ehr.token)
    routes.get("/fhir/.well-known/smart-configuration")(ehr.configuration)
    routes.get("/fhir/<kind>")(ehr.search)
    routes.get("/fhir/<kind>/<identifier>")(ehr.read)
    return routes


def _patient(store: Store, slug: str) -> SyntheticPatient:
    found = next((patient for patient in store.synthetic() if patient.slug == slug), None)
    if found is None:
        raise UnknownArtefact("There is no synthetic patient of this name.")
    return found
