"""A benchmark that runs on a device, with models and photos of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from edgecnn.bench.measure import INTERRUPTED
from edgecnn.bench.photo_sample import PhotoSample, photos_record
from edgecnn.core.errors import DeviceError, InputError, Interrupted
from edgecnn.core.progress import Log
from edgecnn.core.records.benchmark import BenchmarkRecord, parse_benchmark
from edgecnn.deploy.address import Address
from edgecnn.deploy.remote_command import run_remote

_USAGE = 2
"""Exit status of a command that got an unknown option or argument."""


class RemoteBenchmark(NamedTuple):
    """The result of `edgecnn benchmark` on a device."""

    status: int
    """Exit status of the command."""
    record: BenchmarkRecord | None
    """The benchmark report; None if the benchmark failed."""


def benchmark_remote(
    address: Address,
    arguments: Sequence[str | Path],
    sample: PhotoSample | None = None,
    *,
    config: Path | None = None,
    log: Log | None = None,
) -> RemoteBenchmark:
    """Run `edgecnn benchmark ARGUMENTS` on a device and fetch its report.

    The photos are chosen on this machine, where it is known which photos a run was not trained on, and only these are
    sent.

    Args:
        address: Device to run it on.
        arguments: Arguments of the command; see `run_remote` for paths among them.
        sample: Photos to measure the accuracy on; None to measure only the speed.
        config: Configuration file for ssh, used instead of `~/.ssh/config`.
        log: Called with each line that the device logs, errors included.

    Returns:
        The exit status, and the report if it is 0.

    Raises:
        DeviceError: The device cannot be reached, or its edgecnn does not write the reports that this one reads.
        InputError: A file among the arguments does not exist.
        Interrupted: The user pressed Ctrl-C.
    """
    try:
        with _linked_photos(sample) as photos:
            data: list[str | Path] = ["--data", photos] if photos else []
            done = run_remote(address, ["benchmark", *arguments, *data, "--json"], config=config, log=log)
    except KeyboardInterrupt:
        raise Interrupted(INTERRUPTED) from None
    if done.status == _USAGE:
        raise DeviceError(f"edgecnn on {address} is a different version; {_advice(address)}")
    if done.status:
        return RemoteBenchmark(done.status, None)
    record = _parse_report(done.stdout, address)
    remote, local = record.environment.edgecnn, version("edgecnn")
    if log and remote != local:
        log(f"measured by edgecnn {remote}, this is {local}; {_advice(address)}")
    return RemoteBenchmark(0, record if sample is None else record.model_copy(update={"photos": photos_record(sample)}))


@contextmanager
def _linked_photos(sample: PhotoSample | None) -> Iterator[Path | None]:
    """Create a folder of class folders with links to the photos of a sample; yield None without a sample."""
    if sample is None:
        yield None
        return
    with TemporaryDirectory(prefix="edgecnn-") as folder:
        for number, example in enumerate(sample.examples):
            # All photos are in one split, so that a class is not mistaken for a split because of its name.
            class_folder = Path(folder, "photos", "train", sample.labels[example.label])
            class_folder.mkdir(parents=True, exist_ok=True)
            (class_folder / f"{number:06}{example.path.suffix}").symlink_to(example.path.resolve())
        yield Path(folder, "photos")


def _parse_report(text: str, address: Address) -> BenchmarkRecord:
    try:
        return parse_benchmark(dict(json.loads(text)), f"the report from {address}", _advice(address))
    except InputError as error:
        raise DeviceError(str(error)) from None
    except (TypeError, ValueError):
        raise DeviceError(
            f"expected a benchmark report in JSON from {address}, got {text.strip()[:60]!r}; {_advice(address)}"
        ) from None


def _advice(address: Address) -> str:
    return f"edgecnn deploy MODEL {address} installs this edgecnn there"
