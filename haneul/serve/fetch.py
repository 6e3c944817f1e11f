"""Requests that go out of the service to addresses which users named: references by URL, and webhooks.

A user must not be able to make the service talk to what only the service can reach. So a connection is opened only to
an address that is public, and to exactly the address that was checked: the check sits where the connection is made,
hence redirects and names that resolve differently a moment later pass through it too. (OWASP's cheat sheet on
server-side request forgery.)
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore2

from haneul import __version__
from haneul.errors import InputError
from haneul.serve import deadline

_REDIRECTS = 3
_SILENCE = 10.0  # seconds until one that says nothing is given up
_SLOW = "the reference came too slowly; upload it instead"
_SCHEMES = ("https", "http")
#: Prefixes under which IPv6 carries an IPv4 address that decides: NAT64, and 6to4 (which `ipaddress` knows itself).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, whatever form it is written in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def resolved(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host. Raises httpcore2.ConnectError, also where that takes longer: the system's resolver knows
    no end of its own choosing."""
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore2.ConnectTimeout(f"{host} could not be resolved in time") from None
    if isinstance(answer, Exception):
        raise httpcore2.ConnectError(f"{host} cannot be resolved") from answer
    return answer


def _left(timeout: float | None) -> float:
    """Raises httpcore2.ReadTimeout where no time is left."""
    seconds = deadline.left(_SILENCE if timeout is None else timeout)
    if not seconds:
        raise httpcore2.ReadTimeout("it took too long in all")
    return seconds


class Ending(httpcore2.NetworkStream):
    """A connection on which every wait ends in time, so that who sends a byte now and then holds nobody up."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return Ending(self.stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


class PublicOnly(httpcore2.NetworkBackend):
    """Opens connections to public addresses only, or to hosts that the operator trusts (name, or name:port)."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self.trusted = {host.lower() for host in trusted}
        self.plain = httpcore2.SyncBackend()

    def _open(self, host: str, port: int, timeout: float | None, *given: Any) -> httpcore2.NetworkStream:
        return Ending(self.plain.connect_tcp(host, port, _left(timeout), *given))

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        if {host.lower(), f"{host.lower()}:{port}"} & self.trusted:
            return self._open(host, port, timeout, local_address, socket_options)
        addresses = resolved(host, port, _left(timeout))
        # One bad address among good ones is an attack or a mistake, and neither deserves a connection.
        for address in addresses:
            if not is_public(address):
                raise InputError(f"{host} is not on the public internet, so it is not asked for anything")
        failure: Exception | None = None
        for address in addresses:
            try:
                return self._open(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise InputError("sockets of this machine are not asked for anything")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def check_url(url: str) -> None:
    """Raises InputError for an address that could not be fetched whatever answers there."""
    parts = _parts(url)
    host = parts.hostname or ""
    try:  # an address is judged at once; names when they are resolved
        literal = str(ipaddress.ip_address(host))
    except ValueError:
        return
    if not is_public(literal):
        raise InputError(f"{host} is not on the public internet, so it is not asked for anything")


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"the address cannot be read: {error}") from error
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname:
        raise InputError(f"the address begins with {parts.scheme[:20]!r}; give one that begins with https://")
    if parts.username or parts.password:
        raise InputError("the address holds a user name or password; give one without")
    if port == 0 or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise InputError("the address holds a port or characters that none can have")
    return parts


class Outside:
    """Asks the internet: `download` for references, `post` for webhooks. Safe in many threads."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self.backend = PublicOnly(trusted)
        self.pool = httpcore2.ConnectionPool(network_backend=self.backend, max_connections=32, keepalive_expiry=5.0)

    def check(self, url: str) -> None:
        """`check_url`, unless the operator trusts the host."""
        parts = _parts(url)
        host = (parts.hostname or "").lower()
        if not {host, f"{host}:{parts.port}"} & self.backend.trusted:
            check_url(url)

    def download(self, url: str, target: Path, *, most: int, seconds: float = 30.0) -> None:
        """Writes what lies at a URL to a file. Raises InputError for everything that can go wrong with it."""
        with deadline.within(seconds):
            self._follow(url, target, most)

    def _follow(self, url: str, target: Path, most: int) -> None:
        for _ in range(_REDIRECTS + 1):
            self.check(url)
            try:
                moved = self._once(url, target, most)
            except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, ValueError) as error:
                if not deadline.left(1.0):
                    raise InputError(_SLOW) from error
                host = urlsplit(url).hostname
                raise InputError(f"nothing could be fetched from {host} ({type(error).__name__})") from error
            if moved is None:
                return
            url = urljoin(url, moved)
        raise InputError(f"the address was redirected more than {_REDIRECTS} times")

    def _once(self, url: str, target: Path, most: int) -> str | None:
        """None: done. A string: where to look instead."""
        headers = [("Host", urlsplit(url).netloc), ("User-Agent", f"haneul/{__version__}"), ("Accept", "*/*")]
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), _SILENCE)
        with self.pool.stream("GET", url, headers=headers, extensions={"timeout": timeout}) as response:
            found = {name.lower().decode("latin1"): value.decode("latin1") for name, value in response.headers}
            if response.status in (301, 302, 303, 307, 308) and "location" in found:
                return found["location"]
            if response.status != 200:
                raise InputError(f"{urlsplit(url).hostname} answered {response.status} to the request for a reference")
            if found.get("content-encoding", "identity") != "identity":
                raise InputError("the reference came compressed, which was not asked for")
            size = 0
            with target.open("wb") as file:
                for chunk in response.iter_stream():
                    size += len(chunk)
                    if size > most:
                        raise InputError(f"the reference is larger than {most / 2**20:.0f} MiB; give a smaller one")
                    if not deadline.left(1.0):
                        raise InputError(_SLOW)
                    file.write(chunk)
        return None

    def post(self, url: str, body: bytes, headers: dict[str, str], *, seconds: float = 10.0) -> int:
        """The status that a webhook answers with; redirects are not followed. Raises InputError if there is none."""
        with deadline.within(seconds):
            return self._post(url, body, headers)

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.check(url)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), deadline.left(_SILENCE))
        sent = [("Host", urlsplit(url).netloc), ("User-Agent", f"haneul/{__version__}"), *headers.items()]
        try:
            with self.pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": timeout}) as response:
                return int(response.status)
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, ValueError) as error:
            raise InputError(f"no answer from {urlsplit(url).hostname} ({type(error).__name__})") from error

    def close(self) -> None:
        self.pool.close()
