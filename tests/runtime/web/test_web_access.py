"""Access control of the live page, over real connections."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from edgecnn.core.errors import InputError
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.sources import open_source
from edgecnn.runtime.web import LivePage, open_page
from edgecnn.runtime.web.access import Access, admits, page_access
from edgecnn.runtime.web.address import PageAddress, is_loopback_only, listen, page_url, parse_address
from tests.runtime.web.live_run import color_classifier, request

TOKEN = "s3cret/t&ken+%41"
PATHS = [
    "/",
    "/page.js",
    "/page.css",
    "/metrics",
    "/healthz",
    "/snapshot.jpg?after=0",
    "/events",
    "/stream/0.mjpg",
    "/no",
]


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return color_classifier(tmp_path)


def served(classifier: Classifier, address: str, token: str | None) -> Iterator[LivePage]:
    with (
        open_source("pattern:64x64@10") as source,
        open_page(
            address, token=token, cameras=[source], labels=classifier.labels, model="colors", outputs=list
        ) as page,
    ):
        yield page


@pytest.fixture
def local_page(classifier: Classifier) -> Iterator[LivePage]:
    """A page for this machine only."""
    yield from served(classifier, "0", None)


@pytest.fixture
def local_page_with_token(classifier: Classifier) -> Iterator[LivePage]:
    yield from served(classifier, "0", TOKEN)


@pytest.fixture
def public_page(classifier: Classifier) -> Iterator[LivePage]:
    """A page for every machine, requested at an address other than loopback."""
    for page in served(classifier, ":0", TOKEN):
        if urlsplit(page.url).hostname == "127.0.0.1":
            pytest.skip("this machine has no address but its loopback")
        yield page


def test_a_page_for_this_machine_only_needs_no_token(local_page: LivePage) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", local_page.url)
    port = urlsplit(local_page.url).port
    for host in (
        "localhost",
        f"localhost:{port}",
        f"127.0.0.1:{port}",
        "127.8.9.10",
        "[::1]",
        f"[::1]:{port}",
        "LOCALHOST",
    ):
        assert request(local_page.url, host=host).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.7:80", "::1"]
)
def test_a_site_whose_name_resolves_to_this_machine_is_refused(local_page: LivePage, path: str, host: str) -> None:
    answer = request(local_page.url, path, host=host)
    assert answer.status == 403
    assert answer.text == "this page is only for this machine: open it as localhost\n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_machines_need_the_token_for_everything(public_page: LivePage, path: str, method: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong-token"}, {"Authorization": TOKEN}, {"Cookie": "edgecnn=1"}):
        answer = request(public_page.url, path, method=method, **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        if path != "/" and method == "GET":
            assert answer.text.count("\n") == 1 and "token" in answer.text
    wrong = f"{path}{'&' if '?' in path else '?'}token=wrong-token"
    assert request(public_page.url, wrong, method=method).status == 401


def test_opening_the_page_without_a_token_shows_a_form_for_it(public_page: LivePage) -> None:
    answer = request(public_page.url)
    assert answer.status == 401 and answer.headers["content-type"].startswith("text/html")
    assert 'name="token"' in answer.text
    assert "script" not in answer.headers["content-security-policy"]


def test_the_token_is_accepted_from_a_header_or_the_address(public_page: LivePage) -> None:
    in_address = f"/healthz?token={quote(TOKEN, safe='')}"
    assert request(public_page.url, "/healthz", Authorization=f"Bearer {TOKEN}").json["status"] == "starting"
    assert request(public_page.url, "/healthz", Authorization=f"bearer {TOKEN}").json["status"] == "starting"
    assert request(public_page.url, in_address).json["status"] == "starting"


def test_the_printed_address_sets_a_cookie_and_redirects_without_the_token(public_page: LivePage) -> None:
    parts = urlsplit(public_page.url)
    assert parse_qs(parts.query)["token"] == [TOKEN]
    first = request(public_page.url, f"/?{parts.query}")
    assert (first.status, first.headers["location"], first.body) == (303, "./", b"")
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    pair = cookie.split(";")[0]
    assert pair.startswith(f"edgecnn-{parts.port}=")
    for path in ("/", "/page.js", "/metrics"):
        assert request(public_page.url, path, Cookie=pair).status == 200
    assert request(public_page.url, Cookie=pair[:-1] + "0x"[pair[-1] == "0"]).status == 401


def test_this_machine_needs_no_token_unless_it_forwards_a_request(public_page: LivePage) -> None:
    here = f"http://127.0.0.1:{urlsplit(public_page.url).port}/"
    assert request(here).status == 200
    for forwarded in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"):
        assert request(here, **{forwarded: "127.0.0.1"}).status == 401
        assert request(here, **{forwarded: "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}).status == 200
    assert request(here, host="evil.example").status == 401
    assert request(here, host="camera.example", Authorization=f"Bearer {TOKEN}").status == 200


def test_nobody_is_admitted_by_claiming_a_loopback_address(public_page: LivePage) -> None:
    assert request(public_page.url, X_Forwarded_For="127.0.0.1", host="localhost").status == 401


def test_a_loopback_page_with_a_token_can_be_used_behind_a_proxy(local_page_with_token: LivePage) -> None:
    url = local_page_with_token.url
    assert request(url).status == 200
    assert request(url, X_Forwarded_For="198.51.100.4").status == 401
    assert (
        request(url, X_Forwarded_For="198.51.100.4", host="cam.example", Authorization=f"Bearer {TOKEN}").status == 200
    )


def test_a_token_is_generated_for_a_page_that_others_can_reach(classifier: Classifier) -> None:
    tokens = set()
    for _ in range(2):
        for page in served(classifier, ":0", None):
            (token,) = parse_qs(urlsplit(page.url).query)["token"]
            tokens.add(token)
            here = f"http://127.0.0.1:{urlsplit(page.url).port}/"
            assert request(here, X_Forwarded_For="1.2.3.4", Authorization=f"Bearer {token}").status == 200
            assert request(here, X_Forwarded_For="1.2.3.4", Authorization="Bearer ").status == 401
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("path", PATHS)
def test_every_response_has_security_headers(local_page: LivePage, path: str) -> None:
    for host in ("localhost", "evil.example"):
        headers = request(local_page.url, path, method="HEAD", host=host).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in headers


def test_no_log_and_no_message_contains_the_token(
    public_page: LivePage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = urlsplit(public_page.url)
    with caplog.at_level(logging.DEBUG):
        for path in ("/", "/nowhere", "/snapshot.jpg", "/stream/9.mjpg"):
            for answer in (
                request(public_page.url, f"{path}?token={quote(TOKEN, safe='')}"),
                request(public_page.url, path, method="POST", Authorization=f"Bearer {TOKEN}"),
                request(public_page.url, path, Authorization=f"Bearer {TOKEN}x"),
            ):
                assert TOKEN not in answer.text
        with socket.create_connection((parts.hostname, parts.port)) as caller:
            caller.sendall(f"GET /?token={TOKEN} nonsense\r\n\r\n".encode())
            assert TOKEN.encode() not in caller.recv(10_000)
    written = capfd.readouterr()
    assert TOKEN not in caplog.text + written.out + written.err
    assert TOKEN not in repr(page_access(TOKEN, loopback_only=False, port=1))


@pytest.mark.parametrize("token", ["", "1234567", "eight ch", "schlüssel", "tabs\tare\tnone"])
def test_an_unsuitable_token_is_refused(classifier: Classifier, token: str) -> None:
    with open_source("pattern:64x64@10") as source, pytest.raises(InputError, match="expected a token") as caught:
        open_page("0", token=token, cameras=[source], labels=classifier.labels, model="colors", outputs=list)
    assert not token or token not in str(caught.value)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_any_token_is_accepted_in_the_address_the_header_and_the_cookie(token: str) -> None:
    access = page_access(token, loopback_only=False, port=8080)
    for headers, query in (
        ([(b"authorization", b"Bearer " + token.encode())], b""),
        ([], f"token={quote(token, safe='')}".encode()),
        ([(b"cookie", f"{access.cookie_name}={access.cookie_value}".encode())], b""),
    ):
        assert admits(access, caller("203.0.113.9", headers, query))
    assert not admits(access, caller("203.0.113.9", [(b"authorization", b"Bearer " + token.encode() + b"x")], b""))


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["203.0.113.9", "::ffff:203.0.113.9", "nobody"]))
def test_no_other_bytes_are_accepted_as_a_token(header: bytes, query: bytes, peer: str) -> None:
    access = Access("a-token-of-some-length", 8080)
    headers = [(b"authorization", header), (b"cookie", header), (b"host", b"localhost"), (b"x-forwarded-for", header)]
    assert not admits(access, caller(peer, headers, b"token=" + query))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_recognized_by_any_loopback_address(peer: str) -> None:
    assert admits(Access("a-token-of-some-length", 8080), caller(peer, [(b"host", b"localhost:8080")], b""))


def caller(peer: str, headers: list[tuple[bytes, bytes]], query: bytes) -> HTTPConnection:
    return HTTPConnection(
        {"type": "http", "client": (peer, 4711), "headers": headers, "query_string": query, "path": "/"}
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("0", "127.0.0.1", 0),
        (":8080", "", 8080),
        ("localhost:8080", "127.0.0.1", 8080),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::]:80", "::", 80),
        ("[fe80::1]:80", "fe80::1", 80),
        ("raspberrypi.local:80", "raspberrypi.local", 80),
    ],
)
def test_an_address_is_a_port_or_a_host_with_a_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == PageAddress(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "x",
        "65536",
        "-1",
        "80 ",
        "localhost",
        "::1:80",
        "http://localhost:80",
        "a:b:80",
        "[::1]",
        "[x]:80",
        "\uff18\uff10",
    ],
)
def test_an_invalid_address_is_a_one_line_error(text: str) -> None:
    with pytest.raises(InputError, match=r"expected \[HOST\]:PORT such as 8080") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65535))
def test_any_ip_address_is_parsed_unchanged(ip: object, port: int) -> None:
    text = f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"
    assert parse_address(text) == PageAddress(str(ip), port)


@pytest.mark.parametrize(
    ("text", "loopback_only"),
    [
        ("0", True),
        ("localhost:0", True),
        ("127.0.0.2:0", True),
        ("[::1]:0", True),
        (":0", False),
        ("0.0.0.0:0", False),
        ("[::]:0", False),
    ],
)
def test_loopback_only_sockets_are_recognized(text: str, loopback_only: bool) -> None:
    try:
        listener = listen(parse_address(text))
    except InputError:
        if "[" in text and not socket.has_dualstack_ipv6():
            pytest.skip("this machine has no IPv6")
        raise
    with listener:
        assert is_loopback_only(listener) is loopback_only
        parts = urlsplit(page_url(listener))
        assert parts.port == listener.getsockname()[1] and parts.hostname not in ("0.0.0.0", "::")
        socket.create_connection((parts.hostname, parts.port), timeout=30).close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("203.0.113.7:8080", "203.0.113.7 is not an address of this machine"),
        ("no-such-host.invalid:8080", "cannot resolve the host name no-such-host.invalid"),
    ],
)
def test_an_address_of_another_machine_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        listen(parse_address(text))
