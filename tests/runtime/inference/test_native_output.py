from __future__ import annotations

import os

import pytest

from edgecnn.runtime.inference.native_output import native_output_hidden


def write_natively(text: bytes) -> None:
    """Write to the descriptors directly, bypassing Python's streams, as native code does."""
    os.write(1, text)
    os.write(2, text)


def test_native_output_is_hidden_in_the_block_only(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_hidden():
        write_natively(b"chatter\n")
    write_natively(b"talk\n")
    assert capfd.readouterr() == ("talk\n", "talk\n")


def test_native_output_of_a_failing_block_is_shown_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), native_output_hidden():
        write_natively(b"reason\n")
        raise KeyError
    write_natively(b"talk\n")
    assert capfd.readouterr() == ("talk\n", "reason\nreason\ntalk\n")


def test_buffered_python_output_from_before_the_block_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    print("before", end="")
    with native_output_hidden():
        write_natively(b"chatter\n")
    assert capfd.readouterr().out == "before"


def test_no_descriptor_stays_open() -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for _ in range(3):
        with native_output_hidden():
            pass
    after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    assert len(after) == len(before)
