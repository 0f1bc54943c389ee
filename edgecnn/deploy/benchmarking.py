"""A benchmark that a device carries out, of models and on photos of this machine."""

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
from edgecnn.deploy.remote import run_remote

_USAGE = 2
"""What a command leaves with that was told what it does not know."""


class RemoteBenchmark(NamedTuple):
    """What `edgecnn benchmark` left with on a device, and the record of its report if it measured."""

    status: int
    record: BenchmarkRecord | None


def benchmark_remote(
    address: Address,
    words: Sequence[str | Path],
    sample: PhotoSample | None = None,
    *,
    config: Path | None = None,
    log: Log | None = None,
) -> RemoteBenchmark:
    """Runs `edgecnn benchmark WORDS` on a device, with accuracy on the photos of `sample` and on no others.

    The sample is chosen here, where it is known which photos a run was not trained on, and only its photos are sent.
    What the device says, its errors too, goes to `tell`; see `run_there`, for `words` and `config` as well. Raises
    `DeviceError`, also for an edgecnn there that reports otherwise than this one, and `Interrupted` on Ctrl-C.
    """
    try:
        with _laid_out(sample) as photos:
            data: list[str | Path] = ["--data", photos] if photos else []
            done = run_remote(address, ["benchmark", *words, *data, "--json"], config=config, log=log)
    except KeyboardInterrupt:
        raise Interrupted(INTERRUPTED) from None
    if done.status == _USAGE:
        raise DeviceError(f"the edgecnn on {address} is another than this one; {_what_to_do(address)}")
    if done.status:
        return RemoteBenchmark(done.status, None)
    record = _record_in(done.stdout, address)
    there, here = record.environment.edgecnn, version("edgecnn")
    if log and there != here:
        log(f"measured by edgecnn {there}, this is {here}; {_what_to_do(address)}")
    return RemoteBenchmark(0, record if sample is None else record.model_copy(update={"photos": photos_record(sample)}))


@contextmanager
def _laid_out(sample: PhotoSample | None) -> Iterator[Path | None]:
    """A folder of class folders with links to the photos of a sample; None without one."""
    if sample is None:
        yield None
        return
    with TemporaryDirectory(prefix="edgecnn-") as folder:
        for number, example in enumerate(sample.examples):
            # All in one split, so that no class's name is taken for that of a split.
            of_class = Path(folder, "photos", "train", sample.labels[example.label])
            of_class.mkdir(parents=True, exist_ok=True)
            (of_class / f"{number:06}{example.path.suffix}").symlink_to(example.path.resolve())
        yield Path(folder, "photos")


def _record_in(said: str, address: Address) -> BenchmarkRecord:
    try:
        return parse_benchmark(dict(json.loads(said)), f"what {address} sent", _what_to_do(address))
    except InputError as error:
        raise DeviceError(str(error)) from None
    except (TypeError, ValueError):
        raise DeviceError(
            f"expected a benchmark report in JSON from {address}, got {said.strip()[:60]!r}; {_what_to_do(address)}"
        ) from None


def _what_to_do(address: Address) -> str:
    return f"edgecnn deploy MODEL {address} installs this edgecnn there"
