"""nginx with the configuration that this project hands out, but for addresses, certificate and log."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from tests.requirement import missing
from tests.serving import free_port

SHIPPED: Final = Path(__file__).parents[1] / "deploy" / "nginx"
_PORTS: Final = ("8081", "8082")
_SECONDS: Final = 30
_MAIN: Final = """
daemon off;
user root;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes:
        base: where it listens.
        authority: file with the certificate to trust.
        log: its access log.
        errors: its error log.
    """

    base: str
    authority: str
    log: Path
    errors: Path


@contextmanager
def running_proxy(folder: Path, ports: Sequence[int]) -> Iterator[Proxy]:
    """nginx before instances at these ports; skips the test where none is installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        missing("REQUIRE_DEPLOYMENT", "nginx is not installed on this machine (Debian: apt-get install nginx-light)")
    port = free_port()
    _certify(folder)
    (folder / "conf.d").mkdir()
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder), "utf-8")
    upstream = (SHIPPED / "upstream.conf").read_text("utf-8")
    for shipped, own in zip(_PORTS, ports, strict=True):
        upstream = _changed(upstream, f"127.0.0.1:{shipped}", f"127.0.0.1:{own}")
    (folder / "conf.d" / "upstream.conf").write_text(upstream, "utf-8")
    server = (SHIPPED / "pnet-cds.conf").read_text("utf-8")
    server = _changed(server, "listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    server = _changed(server, "/etc/nginx/tls/", f"{folder}/")
    server = _changed(server, "/var/log/nginx/", f"{folder}/")
    (folder / "conf.d" / "pnet-cds.conf").write_text(server, "utf-8")
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait(port, folder)
        yield Proxy(
            f"https://localhost:{port}", str(folder / "authority.pem"), folder / "access.log", folder / "error.log"
        )
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    for certificate in issued.cert_chain_pems:
        certificate.write_to_path(folder / "tls.crt", append=True)


def _changed(text: str, what: str, to: str) -> str:
    """The text with something else in it, which has to be there."""
    assert what in text, what
    return text.replace(what, to)


def _wait(port: int, folder: Path) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until, (folder / "error.log").read_text("utf-8")
            time.sleep(0.05)
        else:
            return
