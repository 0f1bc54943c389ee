from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.core.settings.device_profile import find_profile
from edgecnn.deploy.masking import masked, printable
from edgecnn.deploy.service_options import checked_options, options_from_line, options_line, profile_options

SECRETS = st.from_regex(r"[A-Za-z0-9]{8,16}", fullmatch=True).map("Zq{}".format)


def as_systemd_reads(line: str) -> str:
    """Parse a line of an EnvironmentFile by the rules of systemd.exec(5), character by character."""
    assert line.endswith("\n")
    value = line[:-1].partition("=")[2].strip()
    read, quoted, characters = "", False, iter(value)
    if value.startswith('"'):
        quoted = True
        next(characters)
    for character in characters:
        if character == "\\":
            following = next(characters)
            read += following if not quoted or following in '"\\`$' else f"\\{following}"
        elif quoted and character == '"':
            assert next(characters, None) is None
        else:
            read += character
    return read


def valid_options(text: str) -> str | None:
    try:
        return checked_options(f"--source {text}")
    except InputError:
        return None


@given(text=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=40))
def test_systemd_reads_the_options_that_were_given(text: str) -> None:
    options = valid_options(text)
    if options is not None:
        line = options_line(options)
        assert line.count("\n") == 1
        assert as_systemd_reads(line) == options
        assert options_from_line(line.removeprefix("OPTIONS=").rstrip("\n")) == options


def test_simple_options_are_not_quoted() -> None:
    assert options_line("--source 0 --size 640x480") == "OPTIONS=--source 0 --size 640x480\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--source 0\nMODEL=/etc/shadow", "one line"),
        ("--source 0\0", "one line"),
        ("--labels 'my labels", "no closing quotation"),
        ("source 0", "expected options of"),
    ],
)
def test_invalid_options_are_refused_without_being_repeated(options: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        checked_options(options)
    assert "shadow" not in str(caught.value)


def test_options_may_be_empty() -> None:
    assert options_line(checked_options("  ")) == "OPTIONS=\n"


def test_a_profile_gives_the_camera_and_the_number_of_threads() -> None:
    assert shlex.split(profile_options(find_profile("raspberry_pi_4"))) == ["--source", "csi", "--threads", "4"]
    assert profile_options(None) == ""


@given(secret=SECRETS, user=st.from_regex(r"[a-z]{0,8}", fullmatch=True), tail=st.sampled_from(["@/", ":@", "/@", ""]))
def test_a_password_in_an_address_is_masked(secret: str, user: str, tail: str) -> None:
    text = f'error: no video from "rtsp://{user}:{secret}{tail}@10.0.0.7:554/live"; --source rtsp://{user}:{secret}@x'
    shown = masked(text)
    assert secret not in shown
    assert "10.0.0.7:554/live" in shown and f"rtsp://{user}:***@" in shown


@given(secret=SECRETS, name=st.sampled_from(["--mqtt-password", "--token", "--api-key", "--web-secret"]))
def test_a_password_option_is_masked(secret: str, name: str) -> None:
    for text in (f"{name} {secret} --fps 5", f"{name}={secret} --fps 5", f"{name} '{secret} more' --fps 5"):
        assert secret not in masked(text)
        assert masked(text).endswith("--fps 5") and masked(text).startswith(name)


@given(secret=SECRETS)
def test_a_password_in_a_query_parameter_is_masked(secret: str) -> None:
    assert masked(f"--source http://cam/v?user=me&pwd={secret}&fps=5") == "--source http://cam/v?user=me&pwd=***&fps=5"


def test_ordinary_text_is_unchanged() -> None:
    for text in ("--source http://cam/v?fps=5 --top-k 3", "error: no such model file: /a/b.tflite", "--source csi"):
        assert masked(text) == text == printable(text)


def test_a_printable_line_has_no_frames_and_no_colors() -> None:
    assert printable("\x1b[31m╭─ Error ──╮\x1b[0m") == "Error"
    assert printable("│ No such option: --souce │") == "No such option: --souce"
