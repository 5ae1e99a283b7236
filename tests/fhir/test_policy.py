"""Which servers and addresses may be reached, and that connections go to the address that was checked."""

from __future__ import annotations

import resource
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from cds_service.domain.terms import Lack
from cds_service.errors import SettingsError
from cds_service.fhir.client import LookUp, read
from cds_service.fhir.policy import Base, ReadPolicy, base_of, read_policy
from cds_service.protocol.authorization import FhirAccess
from tests.fhir.faulty_server import bundle, result, serving, whole

EHR = "https://ehr.example.org/fhir"


def base(url: str) -> Base:
    """A base URL that is one."""
    found = base_of(url)
    assert found is not None
    return found


def policy(**given: Any) -> ReadPolicy:
    """A policy as configured."""
    settings: dict[str, Any] = {"servers": "", "open_servers": "", "networks": "", "any_loopback": False, "ca_file": ""}
    return read_policy(**(settings | {"seconds": 2.0, "max_pages": 5, "max_bytes": 1 << 20} | given))


def found_at(*addresses: str) -> LookUp:
    """A look-up of names that finds these addresses."""

    def look_up(_host: str, _port: int, _seconds: float) -> Sequence[str]:
        return addresses

    return look_up


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ehr.example.org/fhir",
        "ftp://ehr.example.org/fhir",
        "file:///etc/passwd",
        "https://",
        "https://me:secret@ehr.example.org/fhir",
        "https://ehr.example.org/fhir?tenant=1",
        "https://ehr.example.org/fhir#part",
        "https://ehr.example.org/a/../fhir",
        "https://ehr.example.org/a/%2e%2e/fhir",
        "https://ehr.example.org\\@evil.example.org/fhir",
        "https://ehr.example.org/fhir\r\nX: y",
        "https://ehr.example.org:port/fhir",
        "https://[::1/fhir",
    ],
)
def test_what_is_no_base_url_is_not_read(url: str) -> None:
    """CH-033: only a plain address can be compared with the list."""
    assert policy(any_loopback=True).admit(FhirAccess(url, "t")) is Lack.SERVER_NOT_ALLOWED


@pytest.mark.parametrize("url", [EHR, EHR + "/", "HTTPS://EHR.example.org/fhir", "https://ehr.example.org:443/fhir"])
def test_spellings_of_a_listed_server_are_allowed(url: str) -> None:
    """Case of the host, the usual port and a slash at the end do not matter."""
    assert policy(servers=EHR).admit(FhirAccess(url, "t")) == base(EHR)


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example.org/fhir2",
        "https://ehr.example.org/fhir/tenant",
        "https://ehr.example.org/FHIR",
        "https://ehr.example.org",
        "http://ehr.example.org/fhir",
        "https://ehr.example.org:8443/fhir",
        "https://ehr.example.org.evil.example/fhir",
    ],
)
def test_another_server_is_not(url: str) -> None:
    """CH-074: the list holds whole base URLs."""
    assert policy(servers=EHR).admit(FhirAccess(url, "t")) is Lack.SERVER_NOT_ALLOWED


def test_nothing_is_allowed_by_default() -> None:
    """Reading is configured, never assumed."""
    assert ReadPolicy().admit(FhirAccess(EHR, "t")) is Lack.SERVER_NOT_ALLOWED


def test_an_open_server_needs_no_token_and_others_do() -> None:
    """CH-070: without a token only servers that are listed as open are read."""
    configured = policy(servers=EHR, open_servers="https://open.example.org/r4")
    assert configured.admit(FhirAccess("https://open.example.org/r4")) == base("https://open.example.org/r4")
    assert configured.admit(FhirAccess(EHR)) is Lack.SERVER_NOT_ALLOWED


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fd00::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "::ffff:10.1.2.3",
        "::ffff:127.0.0.1",
        "2002:0a01:0203::1",
        "64:ff9b::a01:203",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """CH-074: the cloud's metadata, this machine and the networks behind it are out of reach, in every spelling."""
    listed = policy(servers=EHR)
    assert not listed.check(base(EHR), [address])
    assert not listed.check(base(EHR), ["93.184.215.14", address])
    answers = read(FhirAccess(EHR, "t"), base(EHR), {"k": "Condition"}, listed, look_up=found_at(address))
    assert [(key, one.lack) for key, one in answers.items()] == [("k", Lack.ADDRESS_REFUSED)]


def test_public_addresses_and_configured_ranges_are_reached() -> None:
    """A hospital names the network of its EHR; the rest stays closed."""
    configured = policy(servers=EHR, networks="10.1.0.0/16, fd12::/32")
    assert policy(servers=EHR).check(base(EHR), ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    assert configured.check(base(EHR), ["10.1.2.3", "fd12::1", "::ffff:10.1.2.3"])
    assert not configured.check(base(EHR), ["10.2.0.1"])


def test_without_encryption_only_this_machine_is_reached() -> None:
    """A token and a chart do not cross a network in the clear."""
    plain = "http://ehr.example.org/fhir"
    assert not policy(servers=plain).check(base(plain), ["93.184.215.14"])
    assert policy(servers=plain, networks="127.0.0.0/8").check(base(plain), ["127.0.0.1"])


def test_the_demo_reads_from_this_machine_only() -> None:
    """Any server of the machine, by any name, and no other."""
    demo = policy(any_loopback=True)
    there = base("http://localhost:9000/fhir")
    assert demo.admit(FhirAccess("http://localhost:9000/fhir", "t")) == there
    assert demo.check(there, ["127.0.0.1", "::1"])
    assert not demo.check(base(EHR), ["93.184.215.14"])
    assert not demo.check(base(EHR), ["127.0.0.1", "93.184.215.14"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"servers": "ehr.example.org"}, "PNET_CDS_FHIR_SERVERS"),
        ({"open_servers": "https://a.example.org ftp://b.example.org"}, "PNET_CDS_FHIR_OPEN_SERVERS.*ftp"),
        ({"networks": "10.0.0.1/8"}, "PNET_CDS_FHIR_NETWORKS"),
        ({"ca_file": "no/such/file.pem"}, "PNET_CDS_FHIR_CA_FILE"),
        ({"networks": "internal"}, "PNET_CDS_FHIR_NETWORKS"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start(given: dict[str, str], named: str) -> None:
    """The message names the setting and the entry."""
    with pytest.raises(SettingsError, match=named):
        policy(**given)


@pytest.mark.parametrize(
    ("link", "whole_link"),
    [
        ("Condition?patient=1", f"{EHR}/Condition?patient=1"),
        (f"{EHR}?_getpages=7&_bundletype=searchset", f"{EHR}?_getpages=7&_bundletype=searchset"),
        (f"{EHR}/Condition?page=2", f"{EHR}/Condition?page=2"),
        ("/fhir/Condition?page=2", f"{EHR}/Condition?page=2"),
        ("/other/Condition", None),
        ("//evil.example.org/fhir/x", None),
        ("https://evil.example.org/fhir/x", None),
        ("http://ehr.example.org/fhir/x", None),
        ("https://ehr.example.org:444/fhir/x", None),
        ("https://ehr.example.org@evil.example.org/fhir/x", None),
        ("https://ehr.example.org\\.evil.example.org/fhir/x", None),
        ("https://ehr.example.org/fhirx/y", None),
        ("https://ehr.example.org/fhir/../admin", None),
        ("https://ehr.example.org/fhir/%2E%2e/admin", None),
        ("https://ehr.example.org/fhir/..%2fadmin", None),
        ("https://ehr.example.org/fhir/x y", None),
        ("https://ehr.example.org/fhir/\u2025/x", None),
        ("javascript:alert(1)", None),
    ],
)
def test_links_stay_on_the_server_and_below_its_path(link: str, whole_link: str | None) -> None:
    """CH-074: a page that leads anywhere else is not asked for."""
    assert base(EHR).resolve(link) == whole_link


def test_the_connection_goes_to_the_checked_address() -> None:
    """A name that would lead elsewhere at a second look-up does not: it is looked up once, and the address is used."""
    with serving() as server:
        port = server.url.rpartition(":")[2]
        there = base(f"http://ehr.example.org:{port}/good/fhir")
        looked_up: list[str] = []

        def look_up(host: str, _port: int, _seconds: float) -> Sequence[str]:
            looked_up.append(host)
            return ["127.0.0.1"] if len(looked_up) == 1 else ["192.0.2.7"]

        queries = {"one": "Condition", "two": "Observation", "three": "Procedure"}
        answers = read(FhirAccess(there.url, "t"), there, queries, policy(any_loopback=True), look_up=look_up)
        assert {answer.lack for answer in answers.values()} == {None}
        assert looked_up == ["ehr.example.org"]
        assert {seen.headers["host"] for seen in server.seen} == {f"ehr.example.org:{port}"}


def test_a_name_that_is_not_found_is_unreachable() -> None:
    """And nothing is sent."""
    answers = read(FhirAccess(EHR, "t"), base(EHR), {"k": "Condition"}, policy(servers=EHR), look_up=found_at())
    assert answers["k"].lack is Lack.UNREACHABLE


def test_a_look_up_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up of a name cannot be interrupted, so it is not waited for."""
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        over.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    answer = read(FhirAccess(EHR, "t"), base(EHR), {"k": "Condition"}, policy(servers=EHR, seconds=0.3))["k"]
    assert time.monotonic() - started < 1.5
    over.set()
    assert answer.lack is Lack.UNREACHABLE


def test_proxies_and_passwords_of_the_machine_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment cannot lead the token elsewhere or replace it."""
    with serving() as proxy, serving() as server:
        (tmp_path / "netrc").write_text("default login me password other\n", encoding="utf-8")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        there = base(f"{server.url}/good/fhir")
        for access in (FhirAccess(there.url, "t"), FhirAccess(there.url)):
            answer = read(access, there, {"k": "Condition"}, policy(any_loopback=True))
            assert answer["k"].lack is None
        assert proxy.seen == []
        assert [seen.headers.get("authorization") for seen in server.seen] == ["Bearer t", None]


def test_readers_are_gone_when_the_time_is_over() -> None:
    """A server that never answers leaves no thread behind."""
    with serving() as server:
        there = base(f"{server.url}/slow/fhir")
        quick = policy(any_loopback=True, seconds=0.2)
        read(FhirAccess(there.url, "t"), there, {str(n): f"Condition?n={n}" for n in range(12)}, quick)
        left = [thread for thread in threading.enumerate() if thread.name.startswith("fhir-read")]
        for thread in left:
            thread.join(2)
        assert not any(thread.is_alive() for thread in left)


def test_many_pages_do_not_use_up_the_connections() -> None:
    """A server that closes after every page leaves nothing open behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as server:
        there = base(f"{server.url}/endless/fhir")
        patient = policy(any_loopback=True, seconds=20.0, max_pages=150)
        highest = max(int(entry.name) for entry in Path("/dev/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 40, hard))
        try:
            answer = read(FhirAccess(there.url, "t"), there, {"k": "Condition"}, patient)["k"]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (answer.lack, len(answer.pages)) == (Lack.TOO_MANY_PAGES, 150)


@contextmanager
def encrypted(certificate: trustme.LeafCert) -> Iterator[int]:
    """A server behind TLS; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                with context.wrap_socket(self.request, server_side=True) as channel:
                    channel.recv(65536)
                    channel.sendall(b"".join(whole(bundle(result()))))
            except (ssl.SSLError, OSError):  # the caller does not trust the certificate
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("named", "trusted", "lack"),
    [
        ("ehr.example.org", True, None),
        ("other.example.org", True, Lack.UNREACHABLE),
        ("ehr.example.org", False, Lack.UNREACHABLE),
    ],
)
def test_certificates_are_checked_against_the_name(
    named: str, trusted: bool, lack: Lack | None, tmp_path: Path
) -> None:
    """Connecting to a checked address does not weaken TLS: the certificate must be trusted and name the server."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca_file = str(tmp_path / "ca.pem") if trusted else ""
    with encrypted(authority.issue_cert(named)) as port:
        there = base(f"https://ehr.example.org:{port}/fhir")
        demo = policy(any_loopback=True, ca_file=ca_file)
        reading = partial(read, look_up=found_at("127.0.0.1"))
        assert reading(FhirAccess(there.url, "t"), there, {"k": "Condition"}, demo)["k"].lack is lack


@pytest.mark.parametrize("stage", ["greeting", "answer"])
def test_a_silent_server_behind_tls_is_left_in_time(stage: str, tmp_path: Path) -> None:
    """Neither a greeting nor an answer that never comes to its end holds a reader back."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("ehr.example.org").configure_cert(context)
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            drip = context.wrap_socket(self.request, server_side=True) if stage == "answer" else self.request
            try:
                drip.sendall(b"\x16\x03\x03\x40\x00" if stage == "greeting" else b"HTTP/1.1 200 OK\r\n\r\n")
                while not over.wait(0.05):
                    drip.sendall(b" ")
            except OSError:
                return
            finally:
                drip.close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        there = base(f"https://ehr.example.org:{server.server_address[1]}/fhir")
        quick = policy(any_loopback=True, seconds=0.5, ca_file=str(tmp_path / "ca.pem"))
        started = time.monotonic()
        answer = read(FhirAccess(there.url, "t"), there, {"k": "C"}, quick, look_up=found_at("127.0.0.1"))["k"]
        assert time.monotonic() - started < 1.5
        over.set()
        server.shutdown()
    assert answer.lack is Lack.TIMED_OUT
    left = [thread for thread in threading.enumerate() if thread.name.startswith("fhir-read")]
    for thread in left:
        thread.join(2)
    assert not any(thread.is_alive() for thread in left)


def test_a_client_with_servers_of_its_own_has_no_others() -> None:
    """CH-074: its calls are answered from its servers; those of the service as a whole are for clients without."""
    listed = (
        ("https://one.example.org/r4", "t"),
        ("https://two.example.org/r4", "t"),
        ("https://open.example.org/r4", None),
    )
    shared = policy(servers=listed[0][0], open_servers=listed[2][0])
    own = shared.only((listed[1][0],))

    def allowed(given: ReadPolicy) -> list[bool]:
        return [isinstance(given.admit(FhirAccess(server, token)), Base) for server, token in listed]

    assert allowed(shared) == [True, False, True]
    assert allowed(own) == [False, True, False]
