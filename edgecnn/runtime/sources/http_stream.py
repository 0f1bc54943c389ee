"""HTTP camera streams, read by a client with a timeout on every wait."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from edgecnn.core.errors import SourceError
from edgecnn.runtime.sources.address import printable_address
from edgecnn.runtime.sources.byte_stream import CHUNK_BYTES
from edgecnn.runtime.sources.http_login import Login, authorization

MAX_REDIRECTS = 3
_MOTION_JPEG_TYPES = ("multipart/x-mixed-replace", "image/jpeg")
_REDIRECTS = (301, 302, 303, 307, 308)


class HttpStream:
    """Owner of a connection and of the response being received on it; the body of the response is the stream."""

    def __init__(self, connection: http.client.HTTPConnection, url: str, header: dict[str, str]) -> None:
        self.url = url
        self._connection = connection
        try:
            connection.connect()
            # http.client drops the socket of a response without a length and reads it through a file object.
            self._socket: socket.socket = connection.sock
            connection.request("GET", _path_of(url), headers=header)
            self.response = connection.getresponse()
        except BaseException:
            connection.close()
            raise

    @property
    def is_motion_jpeg(self) -> bool:
        """True if the content type is one of Motion-JPEG."""
        return self.response.headers.get_content_type() in _MOTION_JPEG_TYPES

    def read_some(self, timeout_s: float) -> bytes:
        """Wait for data and return up to `CHUNK_BYTES` of it; return b"" at the end.

        Raises:
            TimeoutError: If no data arrived for `timeout_s`.
        """
        try:
            # A timeout of 0 means non-blocking, which misses bytes that have arrived but are still encrypted.
            self._socket.settimeout(max(timeout_s, 0.001))
            return self.response.read1(CHUNK_BYTES)
        except TimeoutError:
            raise
        except (OSError, ValueError, http.client.HTTPException):
            # A connection that breaks in any way is the end; http.client closes the socket with the response.
            return b""

    def ready(self) -> bool:
        """Return True if more data has arrived."""
        if self._socket.fileno() < 0:
            return False
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def exit_message(self) -> str:
        """Return "": a server gives no reason for the end of a stream."""
        return ""

    def interrupt(self) -> None:
        """Shut the socket down, which ends a read running in another thread."""
        with contextlib.suppress(OSError):
            # Bypass TLS: its own shutdown destroys state that another thread may be reading with.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the response and the connection."""
        self.response.close()
        self._connection.close()


class _Destination(NamedTuple):
    """URL of the next request, and its login, which is sent only to the host of the first address."""

    url: str
    login: Login | None


def open_http_stream(address: str, *, timeout_s: float) -> HttpStream:
    """Request an address, log in if the server asks for it, and follow up to `MAX_REDIRECTS` redirects.

    Args:
        address: http or https URL, optionally with user and password.
        timeout_s: Longest wait for each request.

    Returns:
        The stream of a response with status 200.

    Raises:
        SourceError: If the address is invalid, the server cannot be reached, or its final answer is not 200.
    """
    name = printable_address(address)
    destination = _destination_of(address)
    for _ in range(1 + MAX_REDIRECTS):
        stream = _logged_in(destination, name, timeout_s)
        status, location = stream.response.status, stream.response.headers.get("Location")
        if status == http.HTTPStatus.OK:
            return stream
        stream.close()
        if status not in _REDIRECTS or not location:
            raise SourceError(
                f"no video from {name}: the server answered {_phrase(status)}; check address, user and password"
            )
        destination = _redirected(destination, location, name)
    raise SourceError(f"no video from {name}: more than {MAX_REDIRECTS} redirects; use the address they lead to")


def _logged_in(destination: _Destination, name: str, timeout_s: float) -> HttpStream:
    stream = _request(destination.url, {}, name, timeout_s)
    challenge = stream.response.headers.get("WWW-Authenticate")
    if stream.response.status != http.HTTPStatus.UNAUTHORIZED or not challenge or destination.login is None:
        return stream
    answer = authorization(destination.login, challenge, destination.url)
    if answer is None:
        return stream
    stream.close()
    return _request(destination.url, {"Authorization": answer}, name, timeout_s)


def _request(url: str, header: dict[str, str], name: str, timeout_s: float) -> HttpStream:
    parts = urlsplit(url)
    connection_class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = connection_class(parts.hostname or "", parts.port, timeout=timeout_s)
        return HttpStream(connection, url, {"User-Agent": "edgecnn", "Accept": "*/*", **header})
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s; check address and network"
    except ssl.SSLCertVerificationError as error:
        reason = f"{error.verify_message}; set SSL_CERT_FILE to a file with the certificate to trust"
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__}; check address and network, and that the camera is on"
    except (ValueError, http.client.HTTPException) as error:
        # Only the type is reported: the text quotes the address, which may contain part of a password.
        reason = f"the answer is not valid HTTP ({type(error).__name__}); check address and port"
    raise SourceError(f"no video from {name}: {reason}")


def _destination_of(address: str) -> _Destination:
    try:
        parts = urlsplit(address)
        login = Login(unquote(parts.username or ""), unquote(parts.password or ""))
        host = parts.netloc.rpartition("@")[2]
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0) and "@" not in parts.path
    except ValueError:
        valid = False
    if not valid:
        raise SourceError(
            f"expected an address such as http://user:password@host:port/path, got {printable_address(address)}; "
            "write / as %2F and @ as %40 in a password"
        )
    return _Destination(parts._replace(netloc=host, fragment="").geturl(), login if parts.username else None)


def _redirected(destination: _Destination, location: str, name: str) -> _Destination:
    try:
        url = urlsplit(urljoin(destination.url, location))._replace(fragment="")
        same_host = url[:2] == urlsplit(destination.url)[:2]
    except ValueError:
        url, same_host = urlsplit(""), False
    if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
        raise SourceError(
            f"no video from {name}: it redirects to an unusable address, expected http or https without a user; "
            "use another address"
        )
    return _Destination(url.geturl(), destination.login if same_host else None)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _phrase(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
