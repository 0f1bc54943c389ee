"""Who may see the live page, over real connections."""

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
from tests.runtime.web.live_run import ask, color_classifier

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
def at_home(classifier: Classifier) -> Iterator[LivePage]:
    """For this machine alone."""
    yield from served(classifier, "0", None)


@pytest.fixture
def at_home_with_token(classifier: Classifier) -> Iterator[LivePage]:
    yield from served(classifier, "0", TOKEN)


@pytest.fixture
def in_public(classifier: Classifier) -> Iterator[LivePage]:
    """For every machine, asked at an address that is not this machine's own loopback."""
    for page in served(classifier, ":0", TOKEN):
        if urlsplit(page.url).hostname == "127.0.0.1":
            pytest.skip("this machine has no address but its loopback")
        yield page


def test_this_machine_alone_needs_no_token(at_home: LivePage) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", at_home.url)
    port = urlsplit(at_home.url).port
    for host in (
        "localhost",
        f"localhost:{port}",
        f"127.0.0.1:{port}",
        "127.8.9.10",
        "[::1]",
        f"[::1]:{port}",
        "LOCALHOST",
    ):
        assert ask(at_home.url, host=host).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.7:80", "::1"]
)
def test_a_site_whose_name_points_here_is_refused(at_home: LivePage, path: str, host: str) -> None:
    answer = ask(at_home.url, path, host=host)
    assert answer.status == 403
    assert answer.text == "this page is for this machine alone: ask for it as localhost\n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_others_need_the_token_for_everything(in_public: LivePage, path: str, method: str) -> None:
    for given_token in ({}, {"Authorization": "Bearer wrong-token"}, {"Authorization": TOKEN}, {"Cookie": "edgecnn=1"}):
        answer = ask(in_public.url, path, method=method, **given_token)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        if path != "/" and method == "GET":
            assert answer.text.count("\n") == 1 and "token" in answer.text
    wrong = f"{path}{'&' if '?' in path else '?'}token=wrong-token"
    assert ask(in_public.url, wrong, method=method).status == 401


def test_who_opens_the_page_without_a_token_is_asked_for_it(in_public: LivePage) -> None:
    answer = ask(in_public.url)
    assert answer.status == 401 and answer.headers["content-type"].startswith("text/html")
    assert 'name="token"' in answer.text
    assert "script" not in answer.headers["content-security-policy"]


def test_the_token_is_taken_from_a_header_the_address_or_a_cookie(in_public: LivePage) -> None:
    in_address = f"/healthz?token={quote(TOKEN, safe='')}"
    assert ask(in_public.url, "/healthz", Authorization=f"Bearer {TOKEN}").json["status"] == "starting"
    assert ask(in_public.url, "/healthz", Authorization=f"bearer {TOKEN}").json["status"] == "starting"
    assert ask(in_public.url, in_address).json["status"] == "starting"


def test_the_printed_address_leaves_a_cookie_and_no_token_behind(in_public: LivePage) -> None:
    where = urlsplit(in_public.url)
    assert parse_qs(where.query)["token"] == [TOKEN]
    first = ask(in_public.url, f"/?{where.query}")
    assert (first.status, first.headers["location"], first.body) == (303, "./", b"")
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    pair = cookie.split(";")[0]
    assert pair.startswith(f"edgecnn-{where.port}=")
    for path in ("/", "/page.js", "/metrics"):
        assert ask(in_public.url, path, Cookie=pair).status == 200
    assert ask(in_public.url, Cookie=pair[:-1] + "0x"[pair[-1] == "0"]).status == 401


def test_this_machine_needs_no_token_unless_it_asks_for_others(in_public: LivePage) -> None:
    here = f"http://127.0.0.1:{urlsplit(in_public.url).port}/"
    assert ask(here).status == 200
    for forwarded in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"):
        assert ask(here, **{forwarded: "127.0.0.1"}).status == 401
        assert ask(here, **{forwarded: "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}).status == 200
    assert ask(here, host="evil.example").status == 401
    assert ask(here, host="camera.example", Authorization=f"Bearer {TOKEN}").status == 200


def test_nobody_gets_in_by_saying_that_he_comes_from_here(in_public: LivePage) -> None:
    assert ask(in_public.url, X_Forwarded_For="127.0.0.1", host="localhost").status == 401


def test_a_token_makes_the_loopback_page_open_to_a_proxy(at_home_with_token: LivePage) -> None:
    url = at_home_with_token.url
    assert ask(url).status == 200
    assert ask(url, X_Forwarded_For="198.51.100.4").status == 401
    assert ask(url, X_Forwarded_For="198.51.100.4", host="cam.example", Authorization=f"Bearer {TOKEN}").status == 200


def test_a_token_is_made_up_for_a_page_that_others_can_reach(classifier: Classifier) -> None:
    tokens = set()
    for _ in range(2):
        for page in served(classifier, ":0", None):
            (token,) = parse_qs(urlsplit(page.url).query)["token"]
            tokens.add(token)
            here = f"http://127.0.0.1:{urlsplit(page.url).port}/"
            assert ask(here, X_Forwarded_For="1.2.3.4", Authorization=f"Bearer {token}").status == 200
            assert ask(here, X_Forwarded_For="1.2.3.4", Authorization="Bearer ").status == 401
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_tells_browsers_what_it_is_not_for(at_home: LivePage, path: str) -> None:
    for host in ("localhost", "evil.example"):
        headers = ask(at_home.url, path, method="HEAD", host=host).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in headers


def test_the_token_is_in_no_log_and_no_message(
    in_public: LivePage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    where = urlsplit(in_public.url)
    with caplog.at_level(logging.DEBUG):
        for path in ("/", "/nowhere", "/snapshot.jpg", "/stream/9.mjpg"):
            for answer in (
                ask(in_public.url, f"{path}?token={quote(TOKEN, safe='')}"),
                ask(in_public.url, path, method="POST", Authorization=f"Bearer {TOKEN}"),
                ask(in_public.url, path, Authorization=f"Bearer {TOKEN}x"),
            ):
                assert TOKEN not in answer.text
        with socket.create_connection((where.hostname, where.port)) as caller:
            caller.sendall(f"GET /?token={TOKEN} nonsense\r\n\r\n".encode())
            assert TOKEN.encode() not in caller.recv(10_000)
    written = capfd.readouterr()
    assert TOKEN not in caplog.text + written.out + written.err
    assert TOKEN not in repr(page_access(TOKEN, loopback_only=False, port=1))


@pytest.mark.parametrize("token", ["", "1234567", "eight ch", "schlüssel", "tabs\tare\tnone"])
def test_a_token_that_will_not_do_is_refused(classifier: Classifier, token: str) -> None:
    with open_source("pattern:64x64@10") as source, pytest.raises(InputError, match="expected a token") as caught:
        open_page("0", token=token, cameras=[source], labels=classifier.labels, model="colors", outputs=list)
    assert not token or token not in str(caught.value)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_any_token_comes_through_the_address_and_the_header(token: str) -> None:
    access = page_access(token, loopback_only=False, port=8080)
    for headers, query in (
        ([(b"authorization", b"Bearer " + token.encode())], b""),
        ([], f"token={quote(token, safe='')}".encode()),
        ([(b"cookie", f"{access.cookie_name}={access.cookie_value}".encode())], b""),
    ):
        assert admits(access, caller("203.0.113.9", headers, query))
    assert not admits(access, caller("203.0.113.9", [(b"authorization", b"Bearer " + token.encode() + b"x")], b""))


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["203.0.113.9", "::ffff:203.0.113.9", "nobody"]))
def test_no_other_bytes_get_a_stranger_in(header: bytes, query: bytes, peer: str) -> None:
    access = Access("a-token-of-some-length", 8080)
    strange = [(b"authorization", header), (b"cookie", header), (b"host", b"localhost"), (b"x-forwarded-for", header)]
    assert not admits(access, caller(peer, strange, b"token=" + query))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_by_any_of_its_loopback_addresses(peer: str) -> None:
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
def test_what_is_no_address_is_told_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"expected \[HOST\]:PORT such as 8080") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65535))
def test_any_ip_address_is_read_as_it_is_written(ip: object, port: int) -> None:
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
def test_a_page_knows_whether_others_can_reach_it(text: str, loopback_only: bool) -> None:
    try:
        listener = listen(parse_address(text))
    except InputError:
        if "[" in text and not socket.has_dualstack_ipv6():
            pytest.skip("this machine has no IPv6")
        raise
    with listener:
        assert is_loopback_only(listener) is loopback_only
        where = urlsplit(page_url(listener))
        assert where.port == listener.getsockname()[1] and where.hostname not in ("0.0.0.0", "::")
        socket.create_connection((where.hostname, where.port), timeout=30).close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("203.0.113.7:8080", "203.0.113.7 is no address of this machine"),
        ("no-such-host.invalid:8080", "no address is known for no-such-host.invalid"),
    ],
)
def test_a_foreign_address_is_refused_at_once(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        listen(parse_address(text))
