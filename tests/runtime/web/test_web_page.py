"""The live page of a real run, over HTTP."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources import Backoff, FrameSource, SourceOptions, open_source, open_surviving
from edgecnn.runtime.sources.pattern import pattern_number
from edgecnn.runtime.web import LivePage, open_page, server
from edgecnn.runtime.web.app import SNAPSHOT_WAIT_S
from edgecnn.runtime.web.board import KEPT_EVENTS
from edgecnn.runtime.web.event_stream import RESULTS_PER_S
from tests.runtime.web.live_run import (
    ColorCamera,
    color_classifier,
    decoded,
    listen_to,
    live_run,
    plain_picture,
    request,
    wait_until,
)

PATTERN = "pattern:320x240@30"
QUICK = Backoff(first_s=0.01, longest_s=0.05)


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return color_classifier(tmp_path)


def opened_page(classifier: Classifier, cameras: Sequence[FrameSource], **more: object) -> LivePage:
    options: dict[str, object] = {"token": None, "model": "colors", "outputs": list, **more}
    return open_page("0", cameras=cameras, labels=classifier.labels, **options)  # type: ignore[arg-type]


@pytest.fixture
def running(classifier: Classifier) -> Iterator[LivePage]:
    """The page of a run with a test pattern as its source."""
    with (
        open_source(PATTERN) as source,
        opened_page(classifier, [source]) as page,
        live_run(classifier, [source], page, decides=True),
    ):
        yield page


@pytest.fixture
def idle(classifier: Classifier) -> Iterator[LivePage]:
    """The page of a run without a result."""
    with open_source(PATTERN) as source, opened_page(classifier, [source]) as page:
        yield page


def test_the_page_loads_nothing_from_other_servers(running: LivePage) -> None:
    page = request(running.url)
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text.replace("http://www.w3.org", "") and "https://" not in page.text
    for name, kind in {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}.items():
        assert f'"{name}"' in page.text
        file = request(running.url, f"/{name}")
        assert file.status == 200 and file.headers["content-type"].startswith(kind)
        assert len(file.body) == int(file.headers["content-length"]) > 100


def test_a_snapshot_is_a_new_picture_every_time(running: LivePage) -> None:
    numbers = []
    for _ in range(3):
        answer = request(running.url, "/snapshot.jpg?camera=0")
        assert answer.status == 200 and answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
        numbers.append(pattern_number(decoded(answer.body)))
        assert numbers[-1] == int(answer.headers["x-frame-number"])
    assert numbers == sorted(set(numbers))


def test_no_picture_is_encoded_without_viewers(running: LivePage) -> None:
    wait_until(lambda: request(running.url, "/healthz").status == 200, "results")
    events = listen_to(running.url)
    while next(events)[0] != "status":
        pass
    assert request(running.url, "/snapshot.jpg").headers["x-picture"] == "1"


def test_a_snapshot_of_a_camera_without_new_frames_is_an_error(idle: LivePage) -> None:
    started_s = time.monotonic()
    answer = request(idle.url, "/snapshot.jpg?camera=0")
    assert time.monotonic() - started_s >= SNAPSHOT_WAIT_S * 0.9
    assert answer.status == 503
    assert answer.text == "no picture from the camera for 2 s; try again\n"
    # A client that follows the pictures does not get an error every time.
    assert request(idle.url, "/snapshot.jpg?camera=0&after=0").status == 204


def test_a_client_that_has_a_picture_gets_a_newer_one(running: LivePage) -> None:
    first = request(running.url, "/snapshot.jpg?after=0")
    second = request(running.url, f"/snapshot.jpg?after={first.headers['x-picture']}")
    assert int(second.headers["x-frame-number"]) > int(first.headers["x-frame-number"])


def test_the_stream_is_standard_motion_jpeg(running: LivePage) -> None:
    with open_source(f"{running.url}stream/0.mjpg") as stream:
        frames = [stream.read() for _ in range(12)]
    numbers = [pattern_number(frame.pixels) for frame in frames if frame is not None]
    assert len(numbers) == 12 and numbers == sorted(set(numbers))
    # 15 of the 30 frames per second are sent.
    assert numbers[-1] - numbers[0] >= 2 * (len(numbers) - 1) - 2


def test_all_viewers_get_the_same_jpegs(running: LivePage) -> None:
    def parts(count: int, into: dict[str, bytes]) -> None:
        parts = urlsplit(running.url)
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(b"GET /stream/0.mjpg HTTP/1.0\r\nHost: localhost\r\n\r\n")
            received = b""
            while received.count(b"--edgecnn-picture") < count + 1:
                received += connection.recv(1 << 16)
        for part in received.split(b"\r\n--edgecnn-picture\r\n")[1:count]:
            head, _, jpeg = part.partition(b"\r\n\r\n")
            into[head.split(b"X-Picture: ")[1].split(b"\r\n")[0].decode()] = jpeg

    seen: list[dict[str, bytes]] = [{}, {}, {}]
    viewers = [threading.Thread(target=parts, args=(20, into)) for into in seen]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    shared = set(seen[0]) & set(seen[1]) & set(seen[2])
    assert shared
    assert all(seen[0][serial] == seen[1][serial] == seen[2][serial] for serial in shared)


def test_events_begin_with_the_complete_state_and_continue_with_updates(running: LivePage) -> None:
    request(running.url, "/snapshot.jpg")
    events = listen_to(running.url)
    name, hello = next(events)
    assert name == "hello"
    assert hello["model"] == "colors" and hello["classes"] == 3
    (camera,) = hello["cameras"]
    assert camera["name"] == PATTERN and camera["state"] == "connected" and camera["latest"]["source"] == PATTERN
    messages = list(itertools.islice(events, 40))
    results = [record for name, record in messages if name == "result"]
    statuses = [record for name, record in messages if name == "status"]
    frames = [result["frame"] for result in results]
    assert frames == sorted(set(frames)) and {result["camera"] for result in results} == {0}
    assert set(results[0]) >= {"label", "score", "top", "age_ms", "latency_ms", "dropped", "decision", "held_s"}
    assert len(statuses) >= 2 and statuses[-1]["cameras"][0]["frames"] > statuses[0]["cameras"][0]["frames"]
    assert statuses[-1]["cameras"][0]["second"]["age_ms"] > 0


def test_at_most_ten_results_per_second_are_sent(running: LivePage) -> None:
    events = listen_to(running.url)
    while next(events)[0] != "status":
        pass
    seconds = 3
    results = 0
    while seconds:
        name, _ = next(events)
        results += name == "result"
        seconds -= name == "status"
    # The source has 30 frames per second.
    assert results <= 3 * RESULTS_PER_S + 3


def test_every_event_of_a_burst_arrives_in_order(classifier: Classifier, tmp_path: Path) -> None:
    count = KEPT_EVENTS // 2
    folder = tmp_path / "flicker"
    folder.mkdir()
    for number in range(count // 2):
        picture = plain_picture((255, 0, 0) if number % 2 else (0, 0, 255))
        cv2.imwrite(str(folder / f"{number:03}.png"), picture[..., ::-1])
    with open_source(str(folder)) as source, opened_page(classifier, [source]) as page:
        events = listen_to(page.url)
        assert next(events)[0] == "hello"
        with live_run(classifier, [source], page, decides=True) as run:
            run.end()
        received = [record for name, record in itertools.islice(events, count + 2) if name == "event"]
    assert [(record["event"], record["label"]) for record in received[:3]] == [
        ("entered", "blue"),
        ("left", "blue"),
        ("entered", "red"),
    ]
    assert len(received) >= count - 1
    assert [record["event"] for record in received[::2]] == ["entered"] * len(received[::2])
    assert all(record["camera"] == 0 for record in received)


def test_the_end_of_a_run_leaves_the_current_class(classifier: Classifier, tmp_path: Path) -> None:
    with ColorCamera() as camera, open_source(camera.address) as source, opened_page(classifier, [source]) as page:
        with live_run(classifier, [source], page, decides=True) as run:
            wait_until(lambda: bool(next(listen_to(page.url))[1]["events"]), "an event")
            (summary,) = run.stop()
        _, hello = next(listen_to(page.url))
    assert summary.frames
    # The class that was decided on is left at the end of the run.
    assert [event["event"] for event in hello["events"]] == ["entered", "left"]


def test_the_status_of_outputs_is_sent(classifier: Classifier) -> None:
    broken = OutputStatus("mqtt broker", 7, 2, 1, "the broker does not answer; check it", failing=True)
    with open_source(PATTERN) as source, opened_page(classifier, [source], outputs=lambda: [broken]) as page:
        _, hello = next(listen_to(page.url))
    assert hello["outputs"] == [
        {
            "name": "mqtt broker",
            "delivered": 7,
            "dropped": 2,
            "failed": 1,
            "failing": True,
            "last_error": "the broker does not answer; check it",
        }
    ]


def test_two_cameras_with_the_same_name_are_distinguished(classifier: Classifier) -> None:
    with (
        open_source("pattern:320x240@20") as first,
        open_source("pattern:320x240@20") as second,
        opened_page(classifier, [first, second]) as page,
        live_run(classifier, [first, second], page),
    ):
        wait_until(lambda: request(page.url, "/healthz").status == 200, "results of both")
        names = [camera["name"] for camera in request(page.url, "/healthz").json["cameras"]]
        assert names == ["pattern:320x240@20 #0", "pattern:320x240@20 #1"]
        assert request(page.url, "/snapshot.jpg?camera=1").status == 200
        assert request(page.url, "/snapshot.jpg?camera=2").text == "expected a camera from 0 to 1; the page is at /\n"
        assert request(page.url, "/snapshot.jpg?camera=-1").status == 404
        assert request(page.url, "/stream/2.mjpg").status == 404


def test_a_run_is_unhealthy_while_its_camera_stalls(classifier: Classifier) -> None:
    hasty = SourceOptions(stall_timeout_s=0.3)
    with (
        ColorCamera() as camera,
        open_surviving(camera.address, hasty, backoff=QUICK) as source,
        opened_page(classifier, [source], quiet_after_s=3.0) as page,
    ):
        at_first = request(page.url, "/healthz")
        assert (at_first.status, at_first.json["status"]) == (503, "starting")
        with live_run(classifier, [source], page):
            wait_until(lambda: request(page.url, "/healthz").status == 200, "a result")
            camera.stalled.set()
            wait_until(lambda: request(page.url, "/healthz").status == 503, "the stall to show")
            degraded = request(page.url, "/healthz").json
            assert degraded["status"] == "degraded" and degraded["limit_s"] == 3.0
            assert degraded["cameras"][0]["status"] in ("silent", "reconnecting")
            assert degraded["cameras"][0]["since_result_s"] > 3.0
            camera.stalled.clear()
            wait_until(lambda: request(page.url, "/healthz").status == 200, "the camera to be back")
            assert request(page.url, "/healthz").json["cameras"][0]["status"] == "ok"


def test_an_expected_silence_is_healthy(classifier: Classifier) -> None:
    with (
        ColorCamera() as camera,
        open_surviving(camera.address, backoff=QUICK) as source,
        opened_page(classifier, [source], quiet_after_s=None) as page,
        live_run(classifier, [source], page),
    ):
        wait_until(lambda: request(page.url, "/healthz").status == 200, "a result")
        assert request(page.url, "/healthz").json["limit_s"] is None
        camera.die()
        wait_until(lambda: request(page.url, "/healthz").json["cameras"][0]["status"] == "reconnecting", "the loss")
        assert camera.address in request(page.url, "/healthz").json["cameras"][0]["last_error"]


def test_a_finished_folder_is_healthy(classifier: Classifier, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "red.png"), plain_picture((255, 0, 0))[..., ::-1])
    with open_source(str(folder)) as source, opened_page(classifier, [source], quiet_after_s=0.0) as page:
        with live_run(classifier, [source], page) as run:
            run.end()
        assert request(page.url, "/healthz").status == 200
        assert next(listen_to(page.url))[1]["cameras"][0]["latest"]["source"].endswith("red.png")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nowhere", 404, "not found; the page is at /\n"),
        ("/token.html", 404, "not found; the page is at /\n"),
        ("/../page.py", 404, "not found; the page is at /\n"),
        ("/stream/x.mjpg", 404, "not found; the page is at /\n"),
        ("/snapshot.jpg?camera=x", 404, "expected a camera from 0 to 0; the page is at /\n"),
    ],
)
def test_a_missing_resource_is_a_one_line_error(idle: LivePage, path: str, status: int, text: str) -> None:
    answer = request(idle.url, path)
    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_and_head_are_allowed(idle: LivePage, method: str) -> None:
    answer = request(idle.url, "/", method=method)
    assert (answer.status, answer.text, answer.headers["allow"]) == (405, "expected GET or HEAD\n", "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/metrics", "/healthz", "/snapshot.jpg", "/events", "/stream/0.mjpg"]
)
def test_head_responds_without_a_body_and_ends_immediately(running: LivePage, path: str) -> None:
    wait_until(lambda: request(running.url, "/healthz").status == 200, "results")
    answer = request(running.url, path, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"]


def stuck_viewer(url: str, path: str) -> socket.socket:
    """Send a request and never read the response."""
    parts = urlsplit(url)
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect((parts.hostname, parts.port))
    viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return viewer


def queued_bytes(page: LivePage) -> list[int]:
    """Return the number of bytes queued in this process for each connection."""
    connections = list(page._server._server.server_state.connections)
    return [connection.transport.get_write_buffer_size() for connection in connections]


def test_a_viewer_that_never_reads_blocks_nothing_and_uses_little_memory(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STUCK_AFTER_S", 3.0)
    with (
        open_source("pattern:1280x720@30") as source,
        opened_page(classifier, [source]) as page,
        live_run(classifier, [source], page) as run,
        stuck_viewer(page.url, "/stream/0.mjpg"),
    ):
        wait_until(lambda: any(size > 0 for size in queued_bytes(page)), "the viewer to be stuck")
        largest = 0
        before = request(page.url, "/snapshot.jpg").headers["x-frame-number"]
        wait_until(
            lambda: int(request(page.url, "/snapshot.jpg").headers["x-frame-number"]) > int(before) + 30,
            "the run to continue",
        )

        def is_dropped() -> bool:
            nonlocal largest
            sizes = queued_bytes(page)
            largest = max([largest, *sizes])
            return not any(sizes)

        wait_until(is_dropped, "the viewer to be dropped")
        (summary,) = run.stop()
    assert largest < 1_000_000
    assert summary.frames > 30


def test_clients_beyond_the_limit_get_503_until_others_leave(idle: LivePage) -> None:
    def is_full() -> bool:
        return all(request(idle.url).status == 503 for _ in range(5))

    viewers: list[socket.socket] = []
    while not is_full():
        assert len(viewers) < 2 * server.MAX_CONNECTIONS
        # The previous client must have left; otherwise this one is refused.
        wait_until(lambda: len(queued_bytes(idle)) <= len(viewers), "the last to leave")
        viewers.append(stuck_viewer(idle.url, "/events"))
    assert len(viewers) >= server.MAX_CONNECTIONS // 2
    for viewer in viewers:
        viewer.close()
    wait_until(lambda: request(idle.url).status == 200, "the others to have left")


def test_a_client_that_sends_no_complete_request_is_dropped(idle: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_REQUEST_TIMEOUT_S", 0.2)
    parts = urlsplit(idle.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHo")
        assert caller.recv(1) == b""


def test_closing_disconnects_all_viewers_and_leaves_no_thread(classifier: Classifier) -> None:
    before = threading.active_count()
    with open_source(PATTERN) as source:
        page = opened_page(classifier, [source])
        with live_run(classifier, [source], page):
            request(page.url, "/snapshot.jpg")
            stuck = [stuck_viewer(page.url, path) for path in ("/stream/0.mjpg", "/events", "/snapshot.jpg?after=0")]
            started_s = time.monotonic()
            page.close()
            elapsed_s = time.monotonic() - started_s
            page.close()
        for viewer in stuck:
            viewer.close()
    assert elapsed_s < 2
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        request(page.url)


def test_closing_does_not_wait_for_a_picture(classifier: Classifier) -> None:
    with open_source(PATTERN) as source:
        page = opened_page(classifier, [source])
        waiting = stuck_viewer(page.url, "/snapshot.jpg")
        wait_until(lambda: len(queued_bytes(page)) == 1, "the viewer")
        started_s = time.monotonic()
        page.close()
        waiting.close()
    assert time.monotonic() - started_s < SNAPSHOT_WAIT_S


def test_nothing_is_logged_when_viewers_connect_and_disconnect(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        open_source(PATTERN) as source,
        opened_page(classifier, [source]) as page,
        live_run(classifier, [source], page),
    ):
        for path in ("/stream/0.mjpg", "/events", "/snapshot.jpg", "/nowhere"):
            stuck_viewer(page.url, path).close()
        request(page.url, "/snapshot.jpg")
        last = stuck_viewer(page.url, "/stream/0.mjpg")
        request(page.url, "/snapshot.jpg")
        page.close()
        last.close()
    assert caplog.records == []


def test_a_port_in_use_is_an_error(idle: LivePage, classifier: Classifier) -> None:
    port = urlsplit(idle.url).port
    with open_source(PATTERN) as source, pytest.raises(InputError) as caught:
        open_page(f"{port}", token=None, cameras=[source], labels=classifier.labels, model="colors", outputs=list)
    assert (
        str(caught.value) == f"port {port} of 127.0.0.1 is in use; choose another port or stop the program that uses it"
    )


def test_a_defect_of_the_page_ends_the_run(idle: LivePage) -> None:
    pixels = np.zeros((4, 4, 7), np.uint8)
    prediction = Prediction((Score("red", 0, 1.0),), StageLatency(1, 1, 1))
    viewer = stuck_viewer(idle.url, "/stream/0.mjpg")

    def fails() -> bool:
        try:
            idle(Result(Frame(pixels, PATTERN, 0, time.time(), time.monotonic_ns(), 1.0), prediction, 1.0, 0))
        except cv2.error:
            return True
        return False

    wait_until(fails, "the defect to be raised")
    viewer.close()
