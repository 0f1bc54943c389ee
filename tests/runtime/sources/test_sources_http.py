from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.runtime.sources import FrameSource, SourceOptions, open_source
from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.http_login import Login, authorization
from edgecnn.runtime.sources.motion_jpeg import MotionJpegSource
from tests.runtime.sources.loopback_camera import Fault, LoopbackCamera, number_in, numbered_jpeg

PATIENT = SourceOptions(stall_timeout_s=20)


def numbers_of(source: FrameSource, frames: int) -> list[int]:
    numbers = []
    for _ in range(frames):
        frame = source.read()
        assert frame is not None
        numbers.append(number_in(frame.pixels))
    return numbers


@pytest.mark.parametrize("content_type", ["multipart/x-mixed-replace;boundary=x", "image/jpeg", "Image/JPEG"])
def test_motion_jpeg_is_read_with_any_separator_between_the_pictures(content_type: str) -> None:
    with LoopbackCamera(content_type=content_type) as camera, open_source(camera.address, PATIENT) as source:
        assert isinstance(source, MotionJpegSource)
        numbers = numbers_of(source, 5)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("content_type", ["video/x-motion-jpeg", "application/octet-stream"])
def test_other_content_types_are_opened_with_ffmpeg(content_type: str) -> None:
    with LoopbackCamera(content_type=content_type) as camera, open_source(camera.address, PATIENT) as source:
        assert isinstance(source, CaptureSource)
        assert source.read() is not None


@pytest.mark.parametrize(("fault", "bad"), [("half", 1), ("no boundary", 0)])
def test_reading_continues_after_a_faulty_picture(fault: Fault, bad: int) -> None:
    with LoopbackCamera(faults=[fault]) as camera, open_source(camera.address, PATIENT) as source:
        numbers = numbers_of(source, 6)
        assert source.bad_pictures == bad
    assert numbers == sorted(numbers)


def test_garbage_between_pictures_does_not_end_the_stream() -> None:
    with LoopbackCamera(faults=["garbage"]) as camera, open_source(camera.address, PATIENT) as source:
        assert len(numbers_of(source, 6)) == 6


def test_reading_continues_after_a_change_of_size() -> None:
    with LoopbackCamera(faults=["resize"]) as camera, open_source(camera.address, PATIENT) as source:
        shapes = [frame.pixels.shape for _ in range(6) if (frame := source.read()) is not None]
    assert shapes[0] == (240, 320, 3)
    assert shapes[-1] == (256, 336, 3)


@pytest.mark.parametrize("digest", [False, True])
def test_a_login_is_sent_when_the_camera_asks_for_it(digest: bool) -> None:
    with LoopbackCamera(user="me", password="p@ss word", digest=digest) as camera:
        with open_source(camera.address_for("me:p%40ss%20word"), PATIENT) as source:
            assert source.read() is not None
            assert "ss" not in source.name.removeprefix("http://me:***@127.0.0.1")
        assert len(camera.authorizations) == 1
        assert camera.authorizations[0].startswith("Digest" if digest else "Basic")


def test_a_login_is_not_sent_unless_the_camera_asks_for_it() -> None:
    with LoopbackCamera() as camera, open_source(camera.address_for("me:secret"), PATIENT) as source:
        assert source.read() is not None
        assert camera.authorizations == []


def test_up_to_three_redirects_are_followed() -> None:
    with LoopbackCamera() as camera:
        with open_source(camera.address.replace("stream.mjpg", "hop/3"), PATIENT) as source:
            assert source.read() is not None
        with pytest.raises(SourceError, match="more than 3 redirects"):
            open_source(camera.address.replace("stream.mjpg", "hop/4"))


def test_a_login_is_not_sent_to_another_host_after_a_redirect() -> None:
    with LoopbackCamera(user="me", password="pw") as other, LoopbackCamera() as camera:
        camera.away = other.address
        with pytest.raises(SourceError, match="401 Unauthorized"):
            open_source(camera.address_for("me:pw").replace("stream.mjpg", "away"))
        assert other.authorizations == []


@pytest.mark.parametrize("away", ["file:///etc/passwd", "http://[::1/", "http://you:pw@127.0.0.1/"])
def test_a_redirect_to_an_unusable_address_is_an_error(away: str) -> None:
    with LoopbackCamera() as camera:
        camera.away = away
        with pytest.raises(SourceError, match="redirects to an unusable address"):
            open_source(camera.address.replace("stream.mjpg", "away"))


@pytest.mark.parametrize(
    "rest",
    ["me:s3cret@127.0.0.1:1/", "me:s3/cret@127.0.0.1/", "me:s3cret@127.0.0.1:x/", "me:s3cret@[::1/", "me:s3@cret@:1"],
)
def test_no_error_message_contains_a_password(rest: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(f"http://{rest}")
    assert "cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "\n" not in str(caught.value)


def test_the_repr_of_a_login_masks_its_password() -> None:
    assert "pw" not in repr(Login("me", "pw"))


def test_a_server_that_does_not_speak_http_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(SourceError, match="not valid HTTP"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_a_chunked_response_is_read_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
                for number in range(3):
                    jpeg = numbered_jpeg(number)
                    for part in (jpeg[:1000], jpeg[1000:]):
                        client.sendall(b"%x\r\n%b\r\n" % (len(part), part))
                    time.sleep(0.1)
                client.sendall(b"0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with open_source(f"http://127.0.0.1:{server.getsockname()[1]}/", PATIENT) as source:
            assert numbers_of(source, 1)[0] in range(3)
            with pytest.raises(SourceLost, match="no more frames"):
                numbers_of(source, 3)
        thread.join()


def test_the_last_picture_before_the_end_is_delivered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + numbered_jpeg(7))

        thread = threading.Thread(target=serve)
        thread.start()
        with open_source(f"http://127.0.0.1:{server.getsockname()[1]}/", PATIENT) as source:
            thread.join()
            assert numbers_of(source, 1) == [7]
            for _ in range(2):
                with pytest.raises(SourceLost, match="no more frames"):
                    source.read()


@pytest.mark.parametrize("fault", ["stall", "garbage for ever"])
def test_a_stall_is_detected_within_its_timeout(fault: Fault) -> None:
    with (
        LoopbackCamera(faults=[fault]) as camera,
        open_source(camera.address, SourceOptions(stall_timeout_s=0.4)) as source,
    ):
        with pytest.raises(SourceLost, match=r"no frame for 0\.4 s"):
            numbers_of(source, 10)
        # The fault occurred after the last frame; ten times its timeout leaves room for a busy machine.
        assert camera.faults_done == 1


def test_close_ends_a_read_that_is_waiting_for_a_stalled_camera() -> None:
    with LoopbackCamera() as camera:
        camera.stalled.set()
        source = open_source(camera.address, SourceOptions(stall_timeout_s=60))
        threading.Timer(0.2, source.close).start()
        began_s = time.monotonic()
        with pytest.raises(SourceLost, match="was closed"):
            source.read()
        assert time.monotonic() - began_s < 30
        with pytest.raises(SourceLost, match="was closed"):
            source.read()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate for an HTTPS camera")
    folder = tmp_path_factory.mktemp("tls")
    parts = [folder / "key.pem", folder / "certificate.pem"]
    command = f"openssl req -x509 -nodes -newkey rsa:2048 -keyout {parts[0]} -out {parts[1]} -days 2 -subj /CN=camera"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True, timeout=100)
    both = folder / "both.pem"
    both.write_text("".join(part.read_text() for part in parts))
    return both


def test_an_https_camera_is_read_and_can_be_closed_during_a_stall(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with LoopbackCamera(certificate=certificate) as camera:
        source = open_source(camera.address, SourceOptions(stall_timeout_s=60))
        numbers = numbers_of(source, 5)
        assert numbers == sorted(set(numbers))
        camera.stalled.set()
        threading.Timer(0.2, source.close).start()
        with pytest.raises(SourceLost, match="was closed"):
            numbers_of(source, 1000)


def test_an_untrusted_certificate_is_an_error_that_says_what_to_do(certificate: Path) -> None:
    with LoopbackCamera(certificate=certificate) as camera, pytest.raises(SourceError, match="SSL_CERT_FILE"):
        open_source(camera.address)


def test_a_slow_reader_skips_to_the_newest_picture_that_has_arrived() -> None:
    with LoopbackCamera(per_second=100) as camera, open_source(camera.address, PATIENT) as source:
        for count in range(1, 6):
            frame = source.read()
            assert frame is not None and frame.number + 1 == count + source.dropped
            time.sleep(0.2)
        assert source.dropped > 10


def test_basic_authorization_follows_rfc_7617() -> None:
    expected = "Basic " + base64.b64encode("me:pässword".encode()).decode()
    assert authorization(Login("me", "pässword"), 'Basic realm="x"', "http://cam/") == expected
    assert authorization(Login("me", "pw"), "Bearer", "http://cam/") is None
    assert authorization(Login("me", "pw"), "Digest nonsense", "http://cam/") is None
