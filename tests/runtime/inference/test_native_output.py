from __future__ import annotations

import os

import pytest

from edgecnn.runtime.inference.native_output import native_output_hidden


def speak(text: bytes) -> None:
    """As C code does: past Python's own streams."""
    os.write(1, text)
    os.write(2, text)


def test_native_output_is_hidden_and_comes_back_after_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_hidden():
        speak(b"chatter\n")
    speak(b"talk\n")
    assert capfd.readouterr() == ("talk\n", "talk\n")


def test_native_output_of_a_block_that_fails_is_shown_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), native_output_hidden():
        speak(b"reason\n")
        raise KeyError
    speak(b"talk\n")
    assert capfd.readouterr() == ("talk\n", "reason\nreason\ntalk\n")


def test_what_python_printed_before_the_block_is_not_swallowed(capfd: pytest.CaptureFixture[str]) -> None:
    print("before", end="")
    with native_output_hidden():
        speak(b"chatter\n")
    assert capfd.readouterr().out == "before"


def test_hiding_leaves_no_descriptor_open() -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for _ in range(3):
        with native_output_hidden():
            pass
    after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    assert len(after) == len(before)
