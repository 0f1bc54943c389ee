"""The Raspberry Pi's CSI camera through `rpicam-vid`, which is part of Raspberry Pi OS."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess

from edgecnn.core.errors import SourceError
from edgecnn.runtime.sources.byte_stream import PipeStream
from edgecnn.runtime.sources.motion_jpeg import MotionJpegSource
from edgecnn.runtime.sources.options import SourceOptions

PROGRAMS = ("rpicam-vid", "libcamera-vid")
"""Names of the program: the one since Raspberry Pi OS 12, then the older one."""


class RpicamStream(PipeStream):
    """Owner of a running `rpicam-vid`: its output is the stream, the last line of its log is the exit message."""

    def __init__(self, command: list[str]) -> None:
        output_fd, child_output_fd = os.pipe()
        log_fd, child_log_fd = os.pipe()
        super().__init__(output_fd, log_fd=log_fd)
        try:
            # A session of its own keeps Ctrl-C in the terminal from ending the program before this process.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=child_output_fd,
                stderr=child_log_fd,
                start_new_session=True,
            )
        except BaseException:
            super().close()
            raise
        finally:
            os.close(child_output_fd)
            os.close(child_log_fd)

    def close(self) -> None:
        """Kill and reap the program, together with any child processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        super().close()


def rpicam_program() -> str | None:
    """Find the program on PATH.

    Returns:
        Its path, or None if it is not installed.
    """
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def open_rpicam(program: str, camera: int, options: SourceOptions, *, timeout_s: float) -> MotionJpegSource:
    """Start the program and wait for its first bytes.

    Args:
        program: Path of `rpicam-vid`.
        camera: Index of the camera.
        options: Size and frame rate to request, and the stall timeout.
        timeout_s: Longest wait for the first bytes.

    Returns:
        The running camera.

    Raises:
        SourceError: If the program does not start or sends no video, with the reason that it logged, or if `options`
            request a pixel format.
    """
    name = f"csi:{camera}"
    options.refuse_fourcc(name)
    try:
        stream = RpicamStream(rpicam_command(program, camera, options))
    except OSError as error:
        raise SourceError(f"cannot start {program}: {error.strerror}; run it in a terminal to check it") from None
    try:
        received = stream.read_some(timeout_s)
        reason = stream.exit_message() if not received else ""
    except TimeoutError:
        received, reason = b"", f"no data for {timeout_s:g} s"
    except BaseException:
        stream.close()
        raise
    if not received:
        stream.close()
        raise SourceError(
            f"no video from {name}: {reason or 'it exited without a message'}; "
            f"check the cable and the camera with {os.path.basename(program)} --list-cameras"
        )
    return MotionJpegSource(stream, name=name, stall_timeout_s=options.stall_timeout_s, received=received)


def rpicam_command(program: str, camera: int, options: SourceOptions) -> list[str]:
    """Build the command line that makes the program write Motion-JPEG to stdout until it is killed.

    Args:
        program: Path of `rpicam-vid`.
        camera: Index of the camera.
        options: Size and frame rate to request.

    Returns:
        The program and its arguments.
    """
    command = [program, "--codec", "mjpeg", "-o", "-", "-t", "0", "--nopreview", "--camera", str(camera)]
    # Without --flush the end of a picture stays in the program's buffer until the next one.
    command.append("--flush")
    if options.height is not None:
        command += ["--width", str(options.width), "--height", str(options.height)]
    if options.fps is not None:
        command += ["--framerate", f"{options.fps:g}"]
    return command
