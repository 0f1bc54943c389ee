"""The Raspberry Pi's CSI camera, through the program that comes with the system."""

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
"""The same program by its name since and before Raspberry Pi OS 12."""


class RpicamStream(PipeStream):
    """Owns a running `rpicam-vid`: the stream is what it writes, the last words are what it logged last."""

    def __init__(self, command: list[str]) -> None:
        out, written = os.pipe()
        log, logged = os.pipe()
        super().__init__(out, log_fd=log)
        try:
            # In a session of its own, Ctrl-C in the terminal does not end it before us.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=written, stderr=logged, start_new_session=True
            )
        except BaseException:
            super().close()
            raise
        finally:
            os.close(written)
            os.close(logged)

    def close(self) -> None:
        """Kills the program, with what it may have started, and reaps it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        super().close()


def rpicam_program() -> str | None:
    """The path of the program, where it is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def open_rpicam(program: str, camera: int, options: SourceOptions, *, timeout_s: float) -> MotionJpegSource:
    """Starts `program` and waits up to `timeout_s` for its first bytes. Raises `SourceError` with what it said."""
    name = f"csi:{camera}"
    options.refuse_fourcc(name)
    try:
        stream = RpicamStream(rpicam_command(program, camera, options))
    except OSError as error:
        raise SourceError(f"cannot start {program}: {error.strerror}; check that it runs by itself") from None
    try:
        received = stream.read_some(timeout_s)
        reason = stream.last_words() if not received else ""
    except TimeoutError:
        received, reason = b"", f"nothing came for {timeout_s:g} s"
    except BaseException:
        stream.close()
        raise
    if not received:
        stream.close()
        raise SourceError(
            f"no video from {name}: {reason or 'it ended without a word'}; "
            f"check cable and camera with {os.path.basename(program)} --list-cameras"
        )
    return MotionJpegSource(stream, name=name, stall_timeout_s=options.stall_timeout_s, received=received)


def rpicam_command(program: str, camera: int, options: SourceOptions) -> list[str]:
    """The command line that makes `program` write Motion-JPEG to stdout until it is killed."""
    command = [program, "--codec", "mjpeg", "-o", "-", "-t", "0", "--nopreview", "--camera", str(camera)]
    # Without it the end of a picture waits in the program's buffer for the next one.
    command.append("--flush")
    if options.height is not None:
        command += ["--width", str(options.width), "--height", str(options.height)]
    if options.fps is not None:
        command += ["--framerate", f"{options.fps:g}"]
    return command
