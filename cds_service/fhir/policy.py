"""Which FHIR servers and addresses may be reached. The request names the server, so it is not trusted (CH-074).

A server is one base URL, compared as a whole; what is read lies below its path. Addresses are checked after the name is
looked up, and the connection goes to the checked address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from cds_service.domain.terms import Lack
from cds_service.errors import SettingsError
from cds_service.protocol.authorization import FhirAccess

_PORTS: Final = {"https": 443, "http": 80}
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")
"""Characters that URL readers disagree about."""
_V4: Final = 4
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""What RFC 4291 has handed out so far; anything else stands for something local or translated."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Base:
    """A base URL, taken apart; the path has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The base as it is asked, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}/"

    def resolve(self, link: str) -> str | None:
        """The absolute form of a relative or absolute link; None when it leaves the server or its base path."""
        if _UNSAFE.search(link) or _climbs(link):
            return None
        url = urljoin(self.url, link)
        there = _parts(url)
        if there is None or (there.scheme, there.host, there.port) != (self.scheme, self.host, self.port):
            return None
        if there.path != self.path and not there.path.startswith(f"{self.path}/"):
            return None
        return url


def _parts(url: str) -> Base | None:
    """A URL without what a FHIR address does not need: user, fragment, steps through the path."""
    if _UNSAFE.search(url):
        return None
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return None
    if split.scheme not in _PORTS or not split.hostname or "@" in split.netloc or split.fragment:
        return None
    if _climbs(url):
        return None
    return Base(split.scheme, split.hostname, port or _PORTS[split.scheme], split.path.rstrip("/"))


def _climbs(link: str) -> bool:
    """Whether a link takes steps through the path, which would be resolved before it is asked for."""
    path = unquote(re.split("[?#]", link, maxsplit=1)[0]).replace("\\", "/")
    return not {".", ".."}.isdisjoint(path.split("/"))


def base_of(server: str) -> Base | None:
    """The base URL of a FHIR server; None when it is none."""
    return None if "?" in server else _parts(server)


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """What one client's calls may have read for them. The default allows nothing.

    Attributes:
        servers: FHIR servers that may be read with the token of the call.
        open_servers: those that may be read without one.
        networks: ranges that are not public and may be reached all the same.
        any_loopback: every server on this machine may be read (demo).
        seconds: time for all reads of a call together.
        max_pages: most pages read for one input.
        max_bytes: most bytes read in one call, after decompression; one input takes at most half of them.
        ca_file: file with the certificate authorities to trust; empty for the usual ones.
    """

    servers: frozenset[Base] = frozenset()
    open_servers: frozenset[Base] = frozenset()
    networks: tuple[Network, ...] = ()
    any_loopback: bool = False
    seconds: float = 3.0
    max_pages: int = 100
    max_bytes: int = 64 * 1024 * 1024
    ca_file: str = ""

    def only(self, servers: Iterable[str]) -> ReadPolicy:
        """The same for a client with servers of its own: these and no others."""
        own = frozenset(base for base in map(base_of, servers) if base is not None)
        return replace(self, servers=own, open_servers=self.open_servers & own, any_loopback=False)

    def admit(self, access: FhirAccess) -> Base | Lack:
        """The server a call may be answered from, as far as its URL tells."""
        base = base_of(access.server)
        if base is None:
            return Lack.SERVER_NOT_ALLOWED
        if access.token is None:
            allowed = base in self.open_servers
        else:
            allowed = base in self.servers or base in self.open_servers or self.any_loopback
        return base if allowed else Lack.SERVER_NOT_ALLOWED

    def launches(self, server: str) -> Base | None:
        """The server as one an app may be opened from, on the word of whoever follows a link; None when it is not."""
        base = base_of(server)
        return base if base in self.servers else None

    def check(self, base: Base, addresses: Iterable[str]) -> bool:
        """Whether all addresses of a server may be reached; without encryption only those of this machine."""
        found = [_embedded(address) for address in addresses]
        local = all(ip.is_loopback for group in found for ip in group)
        if base.scheme == "http" and not local:
            return False
        if self.any_loopback and base not in self.servers | self.open_servers:
            return local
        return all(self._reachable(ip) for group in found for ip in group)

    def _reachable(self, ip: IPv4Address | IPv6Address) -> bool:
        if self.any_loopback and ip.is_loopback:
            return True
        if ip.is_global and not ip.is_multicast and (ip.version == _V4 or ip in _GLOBAL_UNICAST):
            return True
        return any(ip in network for network in self.networks if network.version == ip.version)


def _embedded(address: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """An address and the one it stands for: an IPv6 address may lead to an IPv4 one."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return (ip.ipv4_mapped,)
        if ip.sixtofour is not None:
            return (ip, ip.sixtofour)
    return (ip,)


def read_policy(
    *,
    servers: str,
    open_servers: str,
    networks: str,
    any_loopback: bool,
    seconds: float,
    max_pages: int,
    max_bytes: int,
    ca_file: str,
) -> ReadPolicy:
    """The policy a deployment has set; lists are separated by blanks or commas.

    Raises:
        SettingsError: an entry is no base URL or no range of addresses, or the file is not there.
    """
    if ca_file and not Path(ca_file).is_file():
        raise SettingsError(f"PNET_CDS_FHIR_CA_FILE: no such file: {ca_file}")
    return ReadPolicy(
        _bases("PNET_CDS_FHIR_SERVERS", servers),
        _bases("PNET_CDS_FHIR_OPEN_SERVERS", open_servers),
        tuple(_network(item) for item in _items(networks)),
        any_loopback,
        seconds,
        max_pages,
        max_bytes,
        ca_file,
    )


def _items(listed: str) -> list[str]:
    return [item for item in re.split(r"[\s,]+", listed) if item]


def _bases(setting: str, listed: str) -> frozenset[Base]:
    found = {item: base_of(item) for item in _items(listed)}
    unusable = [item for item, base in found.items() if base is None]
    if unusable:
        raise SettingsError(f"{setting}: no base URL of a FHIR server: {', '.join(unusable)}")
    return frozenset(base for base in found.values() if base is not None)


def _network(item: str) -> Network:
    try:
        return ip_network(item)
    except ValueError:
        raise SettingsError(f"PNET_CDS_FHIR_NETWORKS: no range of addresses such as 10.20.0.0/16: {item}") from None
