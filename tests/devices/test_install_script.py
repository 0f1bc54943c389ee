"""Tests that run install.sh, with wheels that install in a second and stand-ins for the programs of another machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.devices.stand_in import write_dependency, write_edgecnn

FOLDER = Path(__file__).parent.parent.parent / "devices" / "raspberry_pi"
SCRIPT = FOLDER / "install.sh"
TIMEOUT_S = 240

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("flock") is None, reason="install.sh is for Debian"
)


@dataclass(frozen=True)
class Run:
    """The exit status and the error output of a run, which writes to stderr only."""

    status: int
    stderr: str

    @property
    def error(self) -> str:
        """Message in the last line of a failed run."""
        assert self.status == 1, self.stderr
        last = self.stderr.splitlines()[-1]
        assert last.startswith("error: "), self.stderr
        return last.removeprefix("error: ")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder at the front of PATH, so that no test installs anything on this machine."""
    return write_programs(tmp_path / "programs")


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    """Return a folder as on a device: the script, version 1.0 and its dependencies."""
    return push(tmp_path / "pushed", "1.0")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a prefix with version 1.0, which no test may change."""
    folder = tmp_path_factory.mktemp("shared")
    prefix, programs = folder / "prefix", write_programs(folder / "programs")
    pushed = push(folder / "pushed", "1.0")
    first = install(pushed, programs, prefix)
    assert first.status == 0, first.stderr
    assert re.search(rf"edgecnn 1\.0 is installed: \d+ MB in {prefix}/versions/1\.0-python", first.stderr)
    assert f"next: {prefix}/bin/edgecnn doctor" in first.stderr
    before = tree(prefix)
    yield prefix
    last = install(pushed, programs, prefix)
    assert (last.status, "edgecnn 1.0 is installed already" in last.stderr) == (0, True)
    assert tree(prefix) == before


def write_programs(folder: Path) -> Path:
    """Write the programs of a machine with every library; apt-get and sudo only log their arguments beside `folder`."""
    folder.mkdir()
    libraries = ("GL.so.1", "gthread-2.0.so.0", "SM.so.6", "xcb.so.1", "Xext.so.6", "X11.so.6")
    write_program(folder, "ldconfig", f"echo '{' '.join(f'lib{name}' for name in libraries)}'")
    write_program(folder, "apt-get", f'echo "$@" >> {folder.parent}/apt.txt')
    write_program(folder, "sudo", f'echo "$@" >> {folder.parent}/sudo.txt')
    return folder


def write_program(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def push(folder: Path, version: str, *, starts: bool = True, complete: bool = True) -> Path:
    """Write a folder with the script, a version of edgecnn and, if `complete`, its dependencies."""
    write_edgecnn(folder, version, starts=starts)
    (folder / "wheels").mkdir()
    if complete:
        write_dependency(folder / "wheels")
    shutil.copy(SCRIPT, folder)
    return folder


def command(pushed: Path, prefix: Path | None, *arguments: str) -> list[str]:
    prefix_option = ["--prefix", str(prefix)] if prefix else []
    return ["sh", str(pushed / "install.sh"), *prefix_option, *arguments]


def environment(programs: Path | None = None, **more: str) -> dict[str, str]:
    """Return the environment of a shell on a device, with `programs` at the front of PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    front = f"{programs}{os.pathsep}" if programs else ""
    return kept | {"PATH": front + kept["PATH"]} | more


def install(pushed: Path, programs: Path, prefix: Path | None, *arguments: str) -> Run:
    return run(command(pushed, prefix, *arguments), environment(programs))


def pipe(folder: Path, variables: dict[str, str], *arguments: str) -> Run:
    """Run the script from stdin, in `folder`."""
    return run(["sh", "-s", "--", *arguments], variables, text=SCRIPT.read_text(), folder=folder)


def run(arguments: list[str], variables: dict[str, str], *, text: str = "", folder: Path | None = None) -> Run:
    done = subprocess.run(
        arguments,
        input=text,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.stdout == ""
    return Run(done.returncode, done.stderr)


def version_of(prefix: Path) -> str:
    command = [prefix / "bin" / "edgecnn", "--version"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.strip()


def versions_in(prefix: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (prefix / "versions").iterdir())


def tree(prefix: Path) -> dict[str, int]:
    """Return the modification time of every file that is not in Python's cache."""
    paths = [path for path in prefix.rglob("*") if "__pycache__" not in path.parts]
    return {str(path): path.lstat().st_mtime_ns for path in paths if path.is_symlink() or path.is_file()}


def appears(path: Path) -> bool:
    deadline = time.monotonic() + TIMEOUT_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.exists()


# ---- installing


def test_only_the_command_and_its_versions_are_installed(shared: Path) -> None:
    assert version_of(shared) == "edgecnn 1.0"
    assert sorted(path.name for path in shared.iterdir()) == [".lock", "bin", "current", "pip", "versions"]


def test_a_second_run_changes_nothing(shared: Path, programs: Path) -> None:
    before = tree(shared)
    second = install(shared.parent / "pushed", programs, shared)
    assert (second.status, second.stderr.splitlines()[0]) == (0, "edgecnn 1.0 is installed already")
    assert tree(shared) == before


def test_a_service_without_privileges_can_run_the_command(shared: Path) -> None:
    for path in (shared / "current" / "bin", shared / "current" / "bin" / "edgecnn"):
        assert path.stat().st_mode & 0o005 == 0o005


def test_the_python_of_the_version_in_use_finds_its_packages(shared: Path) -> None:
    python = shared / "current" / "bin" / "python"
    subprocess.run([python, "-c", "import edgecnn_stand_in_dependency"], env=environment(), check=True)


def test_an_upgrade_keeps_the_previous_version_and_going_back_needs_no_build(tmp_path: Path, programs: Path) -> None:
    prefix = tmp_path / "prefix"
    folders = {version: push(tmp_path / version, version) for version in ("1.0", "1.1", "1.2")}
    for folder in folders.values():
        last = install(folder, programs, prefix)
    assert "services keep running the previous version" in last.stderr
    assert (version_of(prefix), versions_in(prefix)) == ("edgecnn 1.2", ["1.1", "1.2"])
    (newest,) = (prefix / "versions").glob("1.2*")
    before = tree(newest)
    back = install(folders["1.1"], programs, prefix)
    assert "takes a few minutes" not in back.stderr
    assert (version_of(prefix), versions_in(prefix)) == ("edgecnn 1.1", ["1.1", "1.2"])
    assert tree(newest) == before


def test_a_piped_script_installs_the_given_release(tmp_path: Path, programs: Path, pushed: Path) -> None:
    for version in ("1.0", "1.1"):
        write_edgecnn(pushed / "wheels", version)
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(pushed / "wheels")}
    done = pipe(tmp_path, environment(programs, **index), "--prefix", "prefix", "1.0")
    assert done.status == 0, done.stderr
    assert version_of(tmp_path / "prefix") == "edgecnn 1.0"


def test_a_release_that_does_not_exist_is_reported(shared: Path, programs: Path, pushed: Path) -> None:
    unknown = install(pushed, programs, shared, "9.9")
    assert unknown.error.startswith("could not download edgecnn 9.9: see above; check the network and the version")


# ---- failures


def test_a_version_that_does_not_start_does_not_replace_the_one_in_use(
    shared: Path, tmp_path: Path, programs: Path
) -> None:
    failed = install(push(tmp_path / "bad", "3.0", starts=False), programs, shared)
    assert "libGL.so.1" in failed.stderr
    assert failed.error == "edgecnn 3.0 does not start here: see above; the version in use is unchanged"


def test_a_version_with_missing_packages_does_not_replace_the_one_in_use(
    shared: Path, tmp_path: Path, programs: Path
) -> None:
    failed = install(push(tmp_path / "bad", "3.0", complete=False), programs, shared)
    assert failed.error == "pip could not install edgecnn 3.0: see above; the version in use is unchanged"


def test_a_first_installation_that_fails_leaves_nothing(tmp_path: Path, programs: Path) -> None:
    prefix = tmp_path / "prefix"
    failed = install(push(tmp_path / "bad", "3.0", complete=False), programs, prefix)
    assert failed.error.endswith("nothing is installed")
    assert sorted(path.name for path in prefix.iterdir()) == [".lock", "bin", "pip", "versions"]
    assert [*prefix.glob("bin/*"), *prefix.glob("versions/*")] == []


def test_a_second_installation_waits_and_a_killed_one_keeps_the_version_in_use(
    shared: Path, tmp_path: Path, programs: Path
) -> None:
    others, in_use = write_programs(tmp_path / "others"), shared.with_name("pushed")
    halfway = tmp_path / "halfway"
    python = shutil.which("python3")
    hang = f'mkdir -p "$5"; touch {halfway}; sleep 600'
    write_program(programs, "python3", f'[ "$4" != --without-pip ] || {{ {hang}; }}\nexec {python} "$@"')
    running = subprocess.Popen(
        command(push(tmp_path / "next", "3.0"), shared),
        env=environment(programs),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    waiting = None
    try:
        assert appears(halfway)
        waiting = subprocess.Popen(command(in_use, shared), env=environment(others), stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert (
            waiting.stderr.readline()
            == f"another installation is in progress in {shared}: waiting until it has finished\n"
        )
        assert versions_in(shared) == ["1.0", "3.0"]
        os.killpg(running.pid, signal.SIGTERM)
        assert running.wait(TIMEOUT_S) != 0
        output = waiting.communicate(timeout=TIMEOUT_S)[1]
        assert (waiting.returncode, output.splitlines()[0]) == (0, "edgecnn 1.0 is installed already")
    finally:
        for process in (running, waiting):
            if process:
                process.kill()
                process.wait()
    assert versions_in(shared) == ["1.0"]


def test_waiting_for_another_installation_has_a_time_limit(shared: Path, programs: Path, pushed: Path) -> None:
    write_program(programs, "flock", "exit 1")
    assert install(pushed, programs, shared).error.startswith("another installation is still in progress in")


def test_an_environment_made_by_hand_is_not_changed(tmp_path: Path, programs: Path, pushed: Path) -> None:
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / "pyvenv.cfg").touch()
    assert "move it away with sudo mv" in install(pushed, programs, prefix).error
    assert [path.name for path in prefix.iterdir()] == ["pyvenv.cfg"]


def test_two_wheels_beside_the_script_are_refused(tmp_path: Path, programs: Path, pushed: Path) -> None:
    write_edgecnn(pushed, "1.1")
    failed = install(pushed, programs, tmp_path / "prefix")
    assert failed.error == "expected one edgecnn-*.whl beside the script, got 2: remove the others"


@pytest.mark.parametrize("arguments", [["--prefix"], ["--help"], ["-v"]])
def test_options_that_do_not_exist_are_refused(arguments: list[str], programs: Path, pushed: Path) -> None:
    assert install(pushed, programs, None, *arguments).error.startswith("expected ")


# ---- other machines


@pytest.mark.parametrize(
    ("machine", "architecture", "message"),
    [
        ("armv6l", "armhf", "edgecnn needs a 64-bit processor, this one is 32-bit (armv6l): a Raspberry Pi Zero 2 W,"),
        ("armv7l", "armhf", "edgecnn needs a 64-bit system, these programs are for armhf (kernel: armv7l): write"),
        ("aarch64", "armhf", "edgecnn needs a 64-bit system, these programs are for armhf (kernel: aarch64): write"),
        ("x86_64", "i386", "edgecnn needs a 64-bit system, these programs are for i386 (kernel: x86_64): write"),
    ],
)
def test_a_32_bit_system_is_refused(
    machine: str, architecture: str, message: str, *, tmp_path: Path, programs: Path, pushed: Path
) -> None:
    write_program(programs, "uname", f"echo {machine}")
    write_program(programs, "dpkg", f"echo {architecture}")
    refused = install(pushed, programs, tmp_path / "prefix")
    assert refused.error.startswith(message)
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "prefix").exists()
    assert not (tmp_path / "apt.txt").exists()


def test_a_python_that_is_too_old_is_refused(tmp_path: Path, programs: Path, pushed: Path) -> None:
    write_program(programs, "python3", "case $1 in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac")
    refused = install(pushed, programs, tmp_path / "prefix")
    assert refused.error.startswith("edgecnn needs Python 3.11 or newer, got Python 3.9.2: write Raspberry Pi OS 12")
    assert not (tmp_path / "apt.txt").exists()


def test_a_system_without_apt_is_refused(tmp_path: Path, pushed: Path) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    (programs / "uname").symlink_to(shutil.which("uname") or "")
    refused = run(["/bin/sh", str(pushed / "install.sh")], {"PATH": str(programs)})
    assert refused.error.startswith("expected Raspberry Pi OS or another Debian, found no apt-get;")


def test_missing_debian_packages_are_requested_together(tmp_path: Path, programs: Path, pushed: Path) -> None:
    write_program(programs, "ldconfig", "echo '	libSM.so.6 (libc6,x86-64) => /lib/libSM.so.6'")
    write_program(programs, "apt-get", f'echo "$@" >> {tmp_path}/apt.txt; [ "$4" = update ]')
    write_program(programs, "id", "echo 0")
    failed = install(pushed, programs, tmp_path / "prefix")
    libraries = "libgl1 libglib2.0-0 libxcb1 libxext6 libx11-6"
    assert failed.error == (
        f"apt-get could not install {libraries}: see above, then try: sudo apt-get install {libraries}"
    )
    assert (tmp_path / "apt.txt").read_text().splitlines() == [
        "-qq -o DPkg::Lock::Timeout=300 update",
        f"-qq -o DPkg::Lock::Timeout=300 install --no-install-recommends {libraries}",
    ]
    assert not (tmp_path / "prefix").exists()


def test_a_user_becomes_root_with_sudo(tmp_path: Path, programs: Path, pushed: Path) -> None:
    write_program(programs, "id", "echo 1000")
    assert install(pushed, programs, None, "1.2").status == 0
    assert (tmp_path / "sudo.txt").read_text() == f"sh {pushed}/install.sh 1.2\n"


def test_a_user_who_pipes_the_script_learns_how_to_become_root(tmp_path: Path, programs: Path) -> None:
    write_program(programs, "id", "echo 1000")
    refused = pipe(tmp_path, environment(programs))
    assert refused.error == "root is required to write to /opt/edgecnn: pipe the script to: sudo sh"


# ---- the script itself


def test_an_incomplete_script_does_nothing(tmp_path: Path, programs: Path) -> None:
    text = SCRIPT.read_text()
    for end in range(0, len(text) - len('main "$@"\n'), 997):
        run(["sh", "-s", "--", "--prefix", str(tmp_path / "prefix")], environment(programs), text=text[:end])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["programs"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed: apt install shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_service_starts_the_installed_command() -> None:
    (prefix,) = re.findall(r"^default_prefix=(.*)$", SCRIPT.read_text(), re.MULTILINE)
    assert f"ExecStart={prefix}/bin/edgecnn run " in (FOLDER / "edgecnn@.service").read_text()
