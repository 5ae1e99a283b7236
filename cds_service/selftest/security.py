"""What can be seen of security: encryption, pages of other origins, and tokens that have to be refused."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from cds_service.addresses import is_loopback
from cds_service.auth.signing import Signer, by_stranger, symmetric, unsigned
from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.findings import Finding, Sights, Skipped, must
from cds_service.selftest.subject import Service, Subject, answered_with, ok
from cds_service.selftest.wire import DISCOVERY, Got, Silence, path_of

_HOUR: Final = 3600
_ANY_ORIGIN: Final = "https://page.example.org"
_HEADERS: Final = ("authorization", "content-type")


def _https(subject: Subject) -> Sights:
    parts = urlsplit(subject.wire.base)
    fine = parts.scheme == "https" or is_loopback(parts.hostname)
    yield must(parts.netloc, fine, parts.scheme, "https; plain http stays on one machine")


# --- pages of other origins -------------------------------------------------------------------------------------------


def _origin(subject: Subject) -> str:
    return subject.wishes.origin or _ANY_ORIGIN


def _preflight(subject: Subject, path: str, method: str) -> Got | Silence:
    asked = {
        "Origin": _origin(subject),
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(_HEADERS),
    }
    return subject.wire.send("OPTIONS", path, token=None, headers=asked)


def _lets_in(subject: Subject, got: Got | Silence) -> bool:
    return isinstance(got, Got) and got.header("Access-Control-Allow-Origin") in ("*", _origin(subject))


def _endpoints(subject: Subject) -> list[tuple[str, str]]:
    return [(DISCOVERY, "GET"), *((path_of(service.id), "POST") for service in subject.services())]


def _with_pages(look: Look) -> Look:
    """A look that makes sense only where pages are let in."""

    def guarded(subject: Subject) -> Sights:
        if subject.wishes.origin or _lets_in(subject, _preflight(subject, *_endpoints(subject)[0])):
            yield from look(subject)
        else:
            yield Skipped("", "no page is let in; --origin names one that should be")

    return guarded


def _preflights(subject: Subject) -> Sights:
    for path, method in _endpoints(subject):
        got = _preflight(subject, path, method)
        fine = isinstance(got, Got) and got.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
        yield answered_with(path, got, fine and _lets_in(subject, got), "200 or 204 that lets the origin in")


def _allowed(subject: Subject) -> Sights:
    for path, method in _endpoints(subject):
        got = _preflight(subject, path, method)
        if not isinstance(got, Got):
            yield answered_with(path, got, ok=False, expected="an answer")
            continue
        methods = _words(got.header("Access-Control-Allow-Methods"))
        headers = _words(got.header("Access-Control-Allow-Headers"))
        # An asterisk does not stand for Authorization (Fetch standard).
        fine = {method.lower(), "*"} & methods and "authorization" in headers and {"content-type", "*"} & headers
        yield must(path, bool(fine), sorted(methods | headers), f"allows {method}, Authorization and Content-Type")


def _words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",") if word.strip()}


def _answers_to_pages(subject: Subject) -> list[tuple[str, Got | Silence]]:
    """A good answer and a refusal, asked for by a page."""
    page = {"Origin": _origin(subject)}
    found = [(DISCOVERY, subject.wire.send("GET", DISCOVERY, headers=page))]
    for service in subject.services()[:1]:
        path = path_of(service.id)
        found.append((f"{path} (refusal)", subject.wire.send("POST", path, b"{", headers=page)))
    return found


def _readable(subject: Subject) -> Sights:
    for path, got in _answers_to_pages(subject):
        yield answered_with(path, got, _lets_in(subject, got), "Access-Control-Allow-Origin, on refusals as well")


def _varies(subject: Subject) -> Sights:
    for path, got in _answers_to_pages(subject):
        if isinstance(got, Got) and got.header("Access-Control-Allow-Origin") == _origin(subject):
            fine = bool({"origin", "*"} & _words(got.header("Vary")))
            yield must(path, fine, got.header("Vary"), "Vary: Origin, where one origin is named")


def _no_credentials(subject: Subject) -> Sights:
    for path, got in _answers_to_pages(subject):
        if isinstance(got, Got):
            value = got.header("Access-Control-Allow-Credentials")
            yield must(
                path, value.lower() != "true", value, "no Access-Control-Allow-Credentials: there are no cookies"
            )


# --- tokens -----------------------------------------------------------------------------------------------------------

Token = Callable[[Subject, str], str | None]


def _refuses(token: Token, *, own_key: bool = False) -> Look:
    """A look at whether every service refuses a call with this token; some are made with the key of a client."""

    def look(subject: Subject) -> Sights:
        if not subject.wishes.tokens:
            yield Skipped("", "not asked for (--require-token)")
        elif own_key and subject.wire.signer is None:
            yield Skipped("", "needs the key of a client (--issuer, --key)")
        else:
            for service in subject.services():
                yield _refusal(service, _called_with(subject, service, token))

    return look


def _called_with(subject: Subject, service: Service, token: Token) -> Got | Silence:
    path = path_of(service.id)
    given = token(subject, subject.wire.audience + path)
    return subject.wire.send("POST", path, subject.request(service) or {}, token=given)


def _refusal(service: Service, got: Got | Silence) -> Finding | Skipped:
    fine = isinstance(got, Got) and got.status == HTTPStatus.UNAUTHORIZED
    return answered_with(service.id, got, fine, "status 401")


def _none(_subject: Subject, _audience: str) -> None:
    return None


def _rubbish(_subject: Subject, _audience: str) -> str:
    return "selftest.is-no.token"


def _forged(make: Callable[[Signer | None, str, float], str]) -> Token:
    return lambda subject, audience: make(subject.wire.signer, audience, subject.wire.clock())


def _signed(*, audience_of: str = "", shift: float = 0, **changes: object) -> Token:
    """A token of our own with changed claims: for another address, from another time."""

    def token(subject: Subject, audience: str) -> str | None:
        signer = subject.wire.signer
        now = subject.wire.clock() + shift
        return signer.token(audience_of or audience, now, **changes) if signer else None

    return token


def _replayed(subject: Subject) -> Sights:
    if not subject.wishes.tokens or subject.wire.signer is None:
        yield Skipped("", "needs --require-token and the key of a client (--issuer, --key)")
        return
    for service in subject.services():
        used = _signed()(subject, subject.wire.audience + path_of(service.id))
        first, second = (_called_with(subject, service, lambda *_, used=used: used) for _ in range(2))
        if ok(first):
            yield _refusal(service, second)
        else:
            yield Skipped(service.id, f"the first call with the token was answered with: {first.told()}", hindered=True)


def _feedback(subject: Subject) -> Sights:
    if not subject.wishes.tokens or not subject.wishes.feedback:
        yield Skipped("", "not asked for (--require-token, without --no-feedback)")
        return
    for service in subject.services():
        got = subject.wire.send("POST", path_of(service.id, "feedback"), {"feedback": []}, token=None)
        if not isinstance(got, Got) or got.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            yield _refusal(service, got)


def _refusals(subject: Subject) -> list[tuple[Service, Got]]:
    """Refusals of calls without a token and with one of a stranger."""
    if not subject.wishes.tokens:
        return []
    tokens = (_none, _rubbish, _forged(by_stranger))
    calls = [(each, _called_with(subject, each, token)) for each in subject.services()[:1] for token in tokens]
    return [(each, got) for each, got in calls if isinstance(got, Got) and got.status == HTTPStatus.UNAUTHORIZED]


def _challenge(subject: Subject) -> Sights:
    for service, got in _refusals(subject):
        value = got.header("WWW-Authenticate")
        yield must(service.id, value.lower().startswith("bearer"), value, "WWW-Authenticate: Bearer")


def _silent(subject: Subject) -> Sights:
    found = _refusals(subject)
    for service, got in found:
        same = got.exchange.body == found[0][1].exchange.body
        yield must(service.id, same, len(got.exchange.body), "the same body whatever is wrong with the token")


CHECKS: Final = (
    Check("security-https", Level.SHALL, ("CH-002",), "Outside one machine everything is encrypted.", _https),
    Check(
        "security-preflight",
        Level.SHOULD,
        ("CH-140", "CH-141"),
        "Preflights of pages are answered, without a token.",
        _with_pages(_preflights),
    ),
    Check(
        "security-cors-allows",
        Level.SHOULD,
        ("CH-141",),
        "Preflights allow the method and the headers of a call.",
        _with_pages(_allowed),
    ),
    Check(
        "security-cors-answers",
        Level.SHOULD,
        ("CH-140", "CH-141"),
        "Pages can read answers, and refusals too.",
        _with_pages(_readable),
    ),
    Check(
        "security-cors-vary",
        Level.SHOULD,
        ("CH-141",),
        "An answer for one origin says that it is.",
        _with_pages(_varies),
    ),
    Check(
        "security-cors-credentials",
        Level.SHOULD,
        ("CH-141",),
        "Pages are not allowed to send credentials.",
        _with_pages(_no_credentials),
    ),
    Check(
        "security-no-token", Level.SHALL, ("CH-130", "CH-131"), "Calls without a token are refused.", _refuses(_none)
    ),
    Check("security-rubbish", Level.SHALL, ("CH-131", "CH-132"), "What is no token is refused.", _refuses(_rubbish)),
    Check(
        "security-unsigned",
        Level.SHALL,
        ("CH-134",),
        "A token without a signature is refused.",
        _refuses(_forged(unsigned)),
    ),
    Check(
        "security-symmetric",
        Level.SHALL,
        ("CH-134",),
        "A token with a symmetric signature is refused.",
        _refuses(_forged(symmetric)),
    ),
    Check(
        "security-stranger",
        Level.SHALL,
        ("CH-131", "CH-136"),
        "A token signed with an unknown key is refused.",
        _refuses(_forged(by_stranger)),
    ),
    Check(
        "security-expired",
        Level.SHALL,
        ("CH-133", "CH-135"),
        "An expired token is refused.",
        _refuses(_signed(shift=-_HOUR), own_key=True),
    ),
    Check(
        "security-audience",
        Level.SHALL,
        ("CH-133",),
        "A token for another address is refused.",
        _refuses(_signed(audience_of="https://other.example.org/cds-services/other"), own_key=True),
    ),
    Check(
        "security-future",
        Level.SHOULD,
        ("CH-135",),
        "A token from the future is refused.",
        _refuses(_signed(shift=_HOUR), own_key=True),
    ),
    Check(
        "security-no-identity",
        Level.SHALL,
        ("CH-133",),
        "A token without a name of its own (jti) is refused.",
        _refuses(_signed(jti=None), own_key=True),
    ),
    Check("security-replayed", Level.SHOULD, ("CH-135",), "A token that was used is refused.", _replayed),
    Check("security-feedback", Level.SHALL, ("CH-120", "CH-131"), "Feedback without a token is refused.", _feedback),
    Check(
        "security-challenge",
        Level.SHOULD,
        ("CH-048.401",),
        "A refusal says that a token is needed.",
        _challenge,
    ),
    Check("security-silent", Level.SHOULD, ("CH-137",), "A refusal gives no reason.", _silent),
)
