"""Headless Chromium, controlled over the DevTools protocol through a pair of pipes."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

PROGRAM = shutil.which("chromium") or ""
DEADLINE_S = 60.0

# The browser reads commands from descriptor 3 and writes answers to descriptor 4.
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class View(NamedTuple):
    """Screen of a page."""

    width: int
    """Width in CSS pixels."""
    height: int
    """Height in CSS pixels."""
    scale: float = 1
    """Screen pixels per CSS pixel."""
    phone: bool = False


class Chromium:
    """Owner of a browser and its temporary profile."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self._write = _pipe()
        self._read, answers = _pipe()
        self._numbers = itertools.count(1)
        self._received = b""
        self._tabs: dict[str, Tab] = {}
        launch = [sys.executable, "-c", _LAUNCH, str(commands), str(answers)]
        self._process = subprocess.Popen(
            [*launch, PROGRAM, *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)

    def open(self, url: str, view: View, *, dark: bool = False) -> Tab:
        """Open a page in a new tab in front of all others, which become hidden."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log"):
            tab.command(f"{domain}.enable")
        screen = {"width": view.width, "height": view.height, "deviceScaleFactor": view.scale, "mobile": view.phone}
        tab.command("Emulation.setDeviceMetricsOverride", **screen)
        tab.command("Emulation.setTouchEmulationEnabled", enabled=view.phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.command("Emulation.setEmulatedMedia", features=[scheme])
        tab.command("Page.navigate", url=url)
        return tab

    def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result, recording events of the tabs meanwhile."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            tab = self._tabs.get(answer.get("sessionId", ""))
            if tab is not None and "method" in answer:
                tab.note(answer["method"], answer["params"])
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._read], [], [], DEADLINE_S)[0], f"no answer from Chromium for {DEADLINE_S:g} s"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "Chromium has ended"
            self._received += chunk
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


class Tab:
    """Page in a browser, with its errors and warnings."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.complaints: list[str] = []
        self._browser = browser
        self._session = session

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.command(method, self._session, **parameters)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_until(self, script: str, true: Callable[[Any], bool] = bool) -> Any:
        """Wait until the value of an expression satisfies `true` and return it."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not true(value := self.evaluate(script)):
            assert time.monotonic() < deadline_s, f"not within {DEADLINE_S:g} s: {script}, last {value!r}"
            time.sleep(0.1)
        return value

    def bring_to_front(self) -> None:
        self.command("Page.bringToFront")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))

    def note(self, event: str, parameters: dict[str, Any]) -> None:
        """Record errors and warnings of scripts, of the network and of the security policy."""
        if event == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])
        elif event == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(parameters["args"]))
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")


def _pipe() -> tuple[int, int]:
    """Open a pipe whose descriptors are neither 3 nor 4."""
    moved = []
    for end in os.pipe():
        moved.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return moved[0], moved[1]
