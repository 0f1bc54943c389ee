"""The MQTT output with a real broker, which is killed, frozen and restarted."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.core.labels import LabelMap
from edgecnn.core.settings.decision import DecisionSettings
from edgecnn.runtime.decision import UNKNOWN, DecisionState, Event, decide, decision_rule, event_record
from edgecnn.runtime.outputs.mqtt import open_mqtt
from edgecnn.runtime.outputs.mqtt.broker import parse_broker
from edgecnn.runtime.outputs.mqtt.connection import EVENTS_KEPT
from edgecnn.runtime.outputs.mqtt.home_assistant import discovery_messages
from edgecnn.runtime.outputs.mqtt.publishing import MqttOutput, state_record
from edgecnn.runtime.outputs.mqtt.topics import topic_levels
from edgecnn.runtime.outputs.output import ItemsLost
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.sinks import CameraEvent, Result, result_record
from edgecnn.runtime.sources.surviving import Backoff
from tests.runtime.outputs.mosquitto import WHY_NO_BROKER, Listener, Mosquitto, Received, wait_until

needs_broker = pytest.mark.skipif(bool(WHY_NO_BROKER), reason=WHY_NO_BROKER)

QUICK = Backoff(first_s=0.02, longest_s=0.1)
LABELS = LabelMap(("cat", "dog"))
SECRET = "s3cret/@%word"
STATUS, RESULT, EVENT, STATE = "t/status", "t/door/result", "t/door/event", "t/door/state"
BULKY = "x" * 100_000
"""A label so long that a few dozen results fill every buffer on the way to the broker."""


CAMERAS = ("door", "yard")


def a_result(number: int = 0, *, label: str = "cat", camera: int = 0) -> Result:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), CAMERAS[camera], number, 1700000000.25, 9_000_000_000, 1.5)
    top = (Score(label, 0, 0.75), Score("dog", 1, 0.25))
    return Result(frame, Prediction(top, StageLatency(0.5, 4.0, 0.125)), 40.0, 0, camera=camera)


def an_event(number: int = 0) -> CameraEvent:
    return CameraEvent(CAMERAS[0], float(number), Event("entered", Score("cat", 0, 0.75), number, None))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


def opened(
    broker: Mosquitto, login: str = "", *, password: str | None = None, home_assistant: bool = False, tls: bool = False
) -> MqttOutput:
    return open_mqtt(
        f"{'mqtts' if tls else 'mqtt'}://{login}127.0.0.1:{broker.port}/t",
        cameras=CAMERAS,
        labels=LABELS,
        model="pets",
        home_assistant=home_assistant,
        password=password,
        reconnecting=QUICK,
    )


@contextlib.contextmanager
def an_output(broker: Mosquitto, login: str = "", **options: Any) -> Iterator[MqttOutput]:
    """An output whose events may be lost at the end, because its broker may be unreachable by then."""
    output = opened(broker, login, **options)
    try:
        yield output
    finally:
        with contextlib.suppress(ItemsLost):
            output.close()


def a_broker_with_logins(folder: Path) -> Mosquitto:
    return Mosquitto(folder, logins={"device": "pw", "listener": "pw"})


@contextlib.contextmanager
def listening_from_the_start(broker: Mosquitto) -> Iterator[Listener]:
    """Start a broker that is down, and accept the device once there is a subscriber."""
    broker.change_logins({"listener": "pw"})
    broker.start()
    with Listener(broker.port, login=("listener", "pw")) as listener:
        broker.change_logins({"device": "pw", "listener": "pw"})
        yield listener


def retained_for_home_assistant(broker: Mosquitto) -> list[Received]:
    with Listener(broker.port, topics="homeassistant/#") as listener:
        # Retained messages arrive before new ones.
        listener.publish("homeassistant/end", "")
        listener.wait_for("homeassistant/end")
        return [message for message in listener.received if message.retain]


def error_of(output: MqttOutput, item: Result | CameraEvent) -> str:
    """Return the reason why `item` was not delivered; empty if it was."""
    try:
        output.take(item)
    except WriteError as error:
        return str(error)
    return ""


def wait_for_error(output: MqttOutput, part: str) -> str:
    """Wait for the first error that contains `part` and return it."""
    errors: list[str] = []

    def has_occurred() -> bool:
        errors.append(error_of(output, a_result()))
        assert "\n" not in errors[-1]
        return part in errors[-1]

    wait_until(has_occurred, f"an error with {part!r}")
    return errors[-1]


def wait_for_delivery(output: MqttOutput, number: int = 0) -> None:
    wait_until(lambda: not error_of(output, a_result(number)), "a result that can be delivered")


@contextlib.contextmanager
def no_leaks() -> Iterator[None]:
    """Check that no thread and no descriptor is left."""

    def owned() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    threads, descriptors = owned()
    yield
    wait_until(lambda: owned()[0] <= threads and owned()[1] <= descriptors, f"{threads} threads, {descriptors} files")


@needs_broker
def test_results_and_events_are_published_as_their_records(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, an_output(broker) as output:
        for number in range(3):
            output.take(a_result(number))
        output.take(an_event(4))
        output.take(a_result(camera=1))
        results = listener.wait_for(RESULT, 3)
        assert [message.record for message in results] == [result_record(a_result(number)) for number in range(3)]
        assert {(message.qos, message.expiry_s) for message in results} == {(0, 60)}
        (event,) = listener.wait_for(EVENT)
        assert event.record == event_record(an_event(4).event, "door", 4.0)
        assert event.qos == 1
        assert listener.wait_for("t/yard/result")[0].record["source"] == "yard"
    with Listener(broker.port) as late:
        late.wait_for(STATE)
        assert not late.on(RESULT) and not late.on(EVENT)


@needs_broker
def test_the_state_is_published_when_the_label_changes_and_is_retained(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, an_output(broker) as output:
        for number, label in enumerate(("cat", "cat", "dog", "dog", "cat", "dog")):
            output.take(a_result(number, label=label))
        states = listener.wait_for(STATE, 4)
        assert [message.record["label"] for message in states] == ["cat", "dog", "cat", "dog"]
        assert states[0].record == {"label": "cat", "index": 0, "score": 0.75, "since": 1700000000.25}
        assert {message.qos for message in states} == {1}
        with Listener(broker.port) as late:
            (state,) = late.wait_for(STATE)
            assert state.retain and state.record["label"] == "dog"


@needs_broker
def test_the_status_is_online_then_offline_after_an_orderly_end_without_leaks(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener:
        with no_leaks(), an_output(broker) as output:
            output.take(a_result())
            listener.wait_for(STATUS)
            with Listener(broker.port) as late:
                (status,) = late.wait_for(STATUS)
                assert status.retain and status.payload == "online"
        assert [message.payload for message in listener.wait_for(STATUS, 2)] == ["online", "offline"]
        # A last will would have arrived before a message published after it.
        with an_output(broker):
            payloads = [message.payload for message in listener.wait_for(STATUS, 3)]
        assert payloads == ["online", "offline", "online"]


@needs_broker
def test_items_taken_just_before_the_end_are_delivered(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener:
        with an_output(broker) as output:
            for number in range(50):
                output.take(a_result(number))
                output.take(an_event(number))
        assert [message.record["at"] for message in listener.wait_for(EVENT, 50)] == list(range(50))
        assert len(listener.wait_for(RESULT, 50)) == 50


@contextlib.contextmanager
def a_separate_run(broker: Mosquitto) -> Iterator[subprocess.Popen[bytes]]:
    """A process with an output, which is killed at the end at the latest."""
    script = """
import sys, time
from edgecnn.core.labels import LabelMap
from edgecnn.runtime.outputs.mqtt import open_mqtt
output = open_mqtt(sys.argv[1], cameras=["door", "yard"], labels=LabelMap(("cat",)), model="pets")
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script, f"mqtt://127.0.0.1:{broker.port}/t"]) as process:
        try:
            yield process
        finally:
            process.kill()


@needs_broker
def test_the_last_will_of_a_killed_process_is_published(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener:
        with a_separate_run(broker):
            assert listener.wait_for(STATUS)[0].payload == "online"
        assert listener.wait_for(STATUS, 2)[1].payload == "offline"
        with Listener(broker.port) as late:
            assert late.wait_for(STATUS)[0].payload == "offline"


@needs_broker
def test_the_last_will_of_a_previous_run_does_not_change_the_status_of_a_new_one(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, a_separate_run(broker) as previous:
        listener.wait_for(STATUS)
        # As after a power failure, the connection stays open.
        previous.send_signal(signal.SIGSTOP)
        with an_output(broker) as output:
            wait_for_delivery(output)
            previous.kill()
            previous.wait()
            output.take(an_event())
            listener.wait_for(EVENT)
            assert [message.payload for message in listener.on(STATUS)] == ["online", "offline", "online"]


@needs_broker
def test_a_broker_that_is_down_at_the_start_is_used_when_it_comes_up(broker: Mosquitto) -> None:
    broker.kill()
    with an_output(broker) as output:
        error = wait_for_error(output, "not connected")
        assert error == f"mqtt://127.0.0.1:{broker.port}: not connected: Connection refused; retrying"
        broker.start()
        wait_for_delivery(output)


@needs_broker
def test_after_an_outage_events_and_states_are_published_but_not_its_results(tmp_path: Path) -> None:
    with a_broker_with_logins(tmp_path) as broker, an_output(broker, "device:pw@", home_assistant=True) as output:
        wait_for_delivery(output, 1)
        broker.kill()
        wait_for_error(output, "not connected")
        for number in range(20):
            assert not error_of(output, an_event(number))
            assert error_of(output, a_result(2, label="dog"))
        with listening_from_the_start(broker) as listener:
            assert [message.record["at"] for message in listener.wait_for(EVENT, 20)] == list(range(20))
            wait_for_delivery(output, 3)
            assert {message.record["frame"] for message in listener.wait_for(RESULT)} == {3}
            assert listener.wait_for(STATUS)[0].payload == "online"
            # A message in transit when the broker died arrives again, before the current state.
            wait_until(
                lambda: [message.record["label"] for message in listener.on(STATE)][-2:] == ["dog", "cat"], "the states"
            )
            discovery = {
                message.topic for message in listener.received if message.topic.startswith("homeassistant/sensor/")
            }
            assert len(discovery) == 4


@needs_broker
def test_discovery_messages_are_retained_if_home_assistant_is_requested(broker: Mosquitto) -> None:
    with an_output(broker) as output, Listener(broker.port, topics="homeassistant/#") as listener:
        wait_for_delivery(output)
        assert not listener.received
    with an_output(broker, home_assistant=True) as output:
        wait_for_delivery(output)
        wait_until(lambda: len(retained_for_home_assistant(broker)) == 4, "two sensors for each of two cameras")
        retained = retained_for_home_assistant(broker)
        device_id = retained[0].topic.split("/")[2]
        assert {message.topic: message.record for message in retained} == discovery_messages(
            "t", [("door", "door"), ("yard", "yard")], LABELS, model="pets", device_id=device_id
        )


@needs_broker
def test_only_the_newest_events_are_kept_during_an_outage_and_the_losses_reported(tmp_path: Path) -> None:
    extra = 5
    with a_broker_with_logins(tmp_path) as broker, an_output(broker, "device:pw@") as output:
        wait_for_delivery(output)
        broker.kill()
        wait_for_error(output, "not connected")
        errors = [error_of(output, an_event(number)) for number in range(EVENTS_KEPT + extra)]
        assert not any(errors[:EVENTS_KEPT])
        assert all("an event is lost" in error for error in errors[EVENTS_KEPT:])
        with listening_from_the_start(broker) as listener:
            events = listener.wait_for(EVENT, EVENTS_KEPT)
            assert [message.record["at"] for message in events] == list(range(extra, EVENTS_KEPT + extra))


@needs_broker
def test_a_frozen_broker_never_blocks_the_run_and_results_resume_when_it_continues(broker: Mosquitto) -> None:
    capacity = 8
    with Listener(broker.port) as listener, QueuedOutput(opened(broker), capacity=capacity) as queued:
        queued(a_result(0))
        listener.wait_for(RESULT)
        broker.freeze()
        # If the frozen broker blocked the run, this loop would never end.
        numbers = itertools.count(1)

        def drops_and_fails() -> bool:
            queued(a_result(next(numbers), label=BULKY))
            return queued.status.dropped > 0 and "accepted nothing" in queued.status.last_error

        wait_until(drops_and_fails, "results that were dropped and results that could not be delivered")
        for _ in range(100):
            queued(a_result(next(numbers), label=BULKY))
        status, count = queued.status, next(numbers)
        assert status.failing
        assert count - capacity - 1 <= status.delivered + status.dropped + status.failed <= count
        broker.thaw()

        def results_resume() -> bool:
            queued(a_result(next(numbers)))
            return int(listener.on(RESULT)[-1].record["frame"]) > count

        wait_until(results_resume, "results again")
        wait_until(lambda: not queued.status.failing, "the output to recover")


@needs_broker
def test_results_that_a_frozen_broker_does_not_accept_are_not_kept(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, an_output(broker) as output:
        wait_for_delivery(output)
        listener.wait_for(RESULT)
        broker.freeze()
        numbers = iter(range(1, 10_000))
        accepted: list[int] = [0]
        refused: list[int] = []
        while len(refused) < 3:
            number = next(numbers)
            (refused if error_of(output, a_result(number, label=BULKY)) else accepted).append(number)
        broker.thaw()
        wait_for_delivery(output, 10_000)
        wait_until(lambda: listener.on(RESULT)[-1].record["frame"] == 10_000, "the newest result")
        assert [message.record["frame"] for message in listener.on(RESULT)] == [*accepted, 10_000]


@needs_broker
@pytest.mark.parametrize("fate", ["freeze", "kill"])
def test_closing_leaks_nothing_in_any_state_of_the_broker(broker: Mosquitto, fate: str) -> None:
    with no_leaks(), an_output(broker) as output:
        wait_for_delivery(output)
        getattr(broker, fate)()
        with contextlib.suppress(WriteError):
            output.take(an_event())


@needs_broker
def test_closing_before_a_frozen_broker_ever_answered_leaks_nothing(broker: Mosquitto) -> None:
    broker.freeze()
    with no_leaks(), an_output(broker) as output:
        assert "not connected: no answer yet" in error_of(output, a_result())


@needs_broker
def test_a_frozen_broker_that_continues_after_the_end_receives_the_status(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener:
        with an_output(broker) as output:
            wait_for_delivery(output)
            listener.wait_for(STATUS)
            broker.freeze()
        broker.thaw()
        assert listener.wait_for(STATUS, 2)[1].payload == "offline"


@needs_broker
def test_a_wrong_password_is_reported_but_never_shown_and_can_be_corrected(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, logins={"device": "another"}) as broker,
        QueuedOutput(opened(broker, f"device:{quote(SECRET, safe='')}@"), capacity=8) as queued,
    ):

        def failed_with(part: str) -> bool:
            queued(a_result())
            return part in queued.status.last_error

        wait_until(lambda: failed_with("Not authorized"), "a refusal")
        name = f"mqtt://127.0.0.1:{broker.port}"
        assert queued.status.name == name
        assert queued.status.last_error == "not connected: Not authorized; check user and password"
        shown = [str(queued.status), *(thread.name for thread in threading.enumerate())]
        assert not any(SECRET in text or quote(SECRET, safe="") in text for text in shown)
        broker.change_logins({"device": SECRET})
        delivered = queued.status.delivered
        wait_until(lambda: failed_with("") and queued.status.delivered > delivered, "a result that is delivered")


@needs_broker
def test_a_message_that_the_broker_does_not_permit_is_reported(tmp_path: Path) -> None:
    rules = "user device\ntopic write t/status\ntopic write t/door/result\n"
    with (
        Mosquitto(tmp_path, logins={"device": "pw"}, rules=rules) as broker,
        an_output(broker, "device:pw@") as output,
    ):
        output.take(an_event())
        error = wait_for_error(output, "refused")
        assert error.endswith("refused a message: Not authorized; check which topics this user may publish to")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate for a broker")
    folder = tmp_path_factory.mktemp("tls")
    parts = [folder / "key.pem", folder / "certificate.pem"]
    command = f"openssl req -x509 -nodes -newkey rsa:2048 -keyout {parts[0]} -out {parts[1]} -days 2 -subj /CN=broker"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True, timeout=100)
    both = folder / "both.pem"
    both.write_text("".join(part.read_text() for part in parts))
    return both


@needs_broker
# paho-mqtt leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_with_tls_is_used_if_its_certificate_is_trusted(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Mosquitto(tmp_path, certificate=certificate) as broker:
        with an_output(broker, tls=True) as output:
            wait_for_error(output, "self-signed certificate, set SSL_CERT_FILE to a file with the certificate to trust")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with no_leaks(), an_output(broker, tls=True) as output:
            for number in range(20):
                wait_for_delivery(output, number)
                output.take(an_event(number))


@contextlib.contextmanager
def server_that_answers(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that sends `answer` to every client, or disconnects if that is empty."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as connections:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = connections.enter_context(server.accept()[0])
                    connection.recv(1024)
                    connection.sendall(answer)
                    if not answer:
                        connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"mqtt://127.0.0.1:{server.getsockname()[1]}/t"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "no MQTT 5 broker answered; retrying"),
        (bytes.fromhex("20050000ffffff"), "Protocol error; retrying"),
        (bytes.fromhex("2003000000 3000"), "Protocol error; retrying"),
        (bytes.fromhex("20020001"), "Unsupported protocol version; retrying"),
        (bytes.fromhex("2003008600"), "Bad user name or password; check user and password"),
        (
            bytes.fromhex("2003000000 e0068e041f000178"),
            "Session taken over; another run has the same topic prefix and cameras, stop one of them",
        ),
        (bytes.fromhex("2003000000 e0068b041f000178"), "Server shutting down; retrying"),
    ],
)
def test_the_reason_for_a_missing_connection_is_reported(answer: bytes, error: str) -> None:
    with server_that_answers(answer) as address:
        output = open_mqtt(address, cameras=["door"], labels=LABELS, model="pets", reconnecting=QUICK)
        with contextlib.closing(output):
            wait_for_error(output, f"{output.name}: not connected: {error}")


def test_a_state_is_the_decision_if_decisions_are_made_otherwise_the_best_class() -> None:
    result = a_result(label="dog")
    assert state_record(result) == {"label": "dog", "index": 0, "score": 0.75, "since": 1700000000.25}

    rule = decision_rule(DecisionSettings(smoothing="none", enter_after_s=1.0), LABELS)
    probabilities = np.array([0.9, 0.1], np.float32)
    state, undecided = decide(rule, DecisionState(), probabilities, 6_000_000_000)
    assert state_record(replace(result, decision=undecided)) == {
        "label": "unknown",
        "index": UNKNOWN,
        "score": 0.9,
        "since": 1700000000.25,
    }
    state, _ = decide(rule, state, probabilities, 7_000_000_000)
    _, decided = decide(rule, state, probabilities, 9_000_000_000)
    assert state_record(replace(result, decision=decided)) == {
        "label": "cat",
        "index": 0,
        "score": 0.9,
        "since": 1699999998.25,
    }


@needs_broker
def test_events_that_the_broker_never_confirmed_count_as_lost_when_the_run_ends(broker: Mosquitto) -> None:
    output = opened(broker)
    output.take(a_result())
    broker.freeze()
    for number in range(3):
        output.take(an_event(number))
    with pytest.raises(ItemsLost, match="3 events were not confirmed") as caught:
        output.close()
    assert caught.value.items == 3


def test_all_parts_of_an_address_are_parsed() -> None:
    broker = parse_broker("mqtts://us%40er:p%2Fw%40@[::1]:99/gar%20den/%C3%BCber/")
    assert (broker.tls, broker.host, broker.port, broker.prefix) == (True, "::1", 99, "gar den/über")
    assert (broker.user, broker.password) == ("us@er", "p/w@")
    assert broker.name == "mqtts://[::1]:99"


def test_missing_parts_of_an_address_have_defaults() -> None:
    plain, tls = parse_broker("mqtt://Host"), parse_broker("mqtts://host/")
    assert (plain.tls, plain.host, plain.port, plain.user, plain.password) == (False, "host", 1883, None, None)
    assert (tls.tls, tls.port, tls.name) == (True, 8883, "mqtts://host")
    assert re.fullmatch(r"edgecnn/[a-z0-9-]+", plain.prefix) and plain.prefix == tls.prefix
    assert plain.name == "mqtt://host"


def test_a_separate_password_overrides_the_one_in_the_address() -> None:
    assert parse_broker("mqtt://user:old@host", "new").password == "new"
    assert parse_broker("mqtt://user@host", "new").password == "new"
    assert parse_broker("mqtt://user:old@host", None).password == "old"
    assert "new" not in repr(parse_broker("mqtt://user:old@host", "new"))


@given(
    user=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    password=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    port=st.integers(1, 65535),
    prefix=st.lists(st.text("aZ9äß -_.~:@?&%$", min_size=1), min_size=1).map("/".join).filter(lambda p: p[0] != "$"),
)
@example(user="@", password="://@%2F", port=1, prefix="a")
def test_escaped_parts_of_an_address_are_restored(user: str, password: str, port: int, prefix: str) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    broker = parse_broker(f"mqtt://{login}@host:{port}/{quote(prefix)}")
    assert (broker.user, broker.password, broker.port, broker.prefix) == (user, password, port, prefix)
    assert broker.name == ("mqtt://host" if port == 1883 else f"mqtt://host:{port}")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "http://u:PASSWORD@host",
        "u:PASSWORD@host",
        "mqtt://",
        "mqtt:///prefix",
        "mqtt://u:PASSWORD@",
        "mqtt://u:PASSWORD@host:port",
        "mqtt://u:PASSWORD@host:0",
        "mqtt://u:PASSWORD@host:65536",
        "mqtt://u:PASSWORD@[::1",
        "mqtt://u:PASSWORD@a..b",
        "mqtt://u:PASSWORD@host/a/+/b",
        "mqtt://u:PASSWORD@host/%2B",
        "mqtt://u:PASSWORD@host/a/#",
        "mqtt://u:PASSWORD@host/%23",
        "mqtt://u:PASSWORD@host/a//b",
        "mqtt://u:PASSWORD@host/$SYS",
        "mqtt://u:PASSWORD@host/%00",
        "mqtt://u:PASSWORD@host/%FF",
        "mqtt://u:%FFPASSWORD@host",
        "mqtt://u:PASSWORD@host/a b",
        "mqtt://u:PASSWORD@host\n/a",
        "mqtt://u:PASSWORD@ho\0st",
        "mqtt://u:1/PASSWORD@host",
        "mqtt://u:1?PASSWORD@host",
        "mqtt://u:1#PASSWORD@host",
        "mqtt://u/x:PASSWORD@host",
        "mqtt://host?password=PASSWORD",
    ],
)
def test_an_invalid_address_is_a_one_line_error_without_the_password(address: str) -> None:
    with pytest.raises(InputError, match=r"^expected mqtt://") as caught:
        open_mqtt(address, cameras=["door"], labels=LABELS, model="pets")
    assert "\n" not in str(caught.value)
    assert "PASSWORD" not in str(caught.value)


def test_a_password_without_a_user_is_an_error() -> None:
    with pytest.raises(InputError, match="got a password but no user for mqtt://host") as caught:
        parse_broker("mqtt://host/t", SECRET)
    assert SECRET not in str(caught.value)


@given(st.lists(st.text()))
@example(["a", "A", "a-2", "a"])
@example(["玄関", "庭", ""])
def test_every_camera_has_a_distinct_topic_level_that_any_broker_accepts(names: list[str]) -> None:
    levels = topic_levels(names)
    assert len(set(levels)) == len(levels) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", level) for level in levels)


def test_topic_levels_are_readable() -> None:
    names = ["rtsp://user:***@10.0.0.2/live", "Haustür", "haustur", "玄関", "/dev/video0"]
    assert list(topic_levels(names)) == [
        "rtsp-user-10-0-0-2-live",
        "haustur",
        "haustur-2",
        "camera",
        "dev-video0",
    ]
