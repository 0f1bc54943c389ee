"""The `edgecnn verify` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgecnn.cli.console import print_json, print_table
from edgecnn.cli.options.remote import On, SshConfig, run_on_device, to_argv
from edgecnn.cli.options.shared import Delegate, Json, Model, Threads
from edgecnn.core.settings.command_settings import THREADS

if TYPE_CHECKING:
    from edgecnn.core.model_file.golden import Kernels
    from edgecnn.runtime.inference.verify import Stage, VectorResult, Verification


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(verify)


def verify(
    model: Model,
    *,
    threads: Threads = THREADS,
    delegate: Delegate = None,
    on: On = None,
    ssh_config: SshConfig = None,
    json: Json = False,
) -> None:
    """Verify stage by stage that this machine reproduces the golden vectors that the exporting machine computed."""
    from edgecnn.core.model_file.model_file import read_model_file
    from edgecnn.runtime.inference.delegate import parse_delegate
    from edgecnn.runtime.inference.verdict import enforce, verification_record
    from edgecnn.runtime.inference.verify import verify as verify_model

    if on is not None:
        options = to_argv({"--threads": threads, "--delegate": delegate, "--json": json})
        finished = run_on_device(on, ["verify", model, *options], ssh_config)
        print(finished.stdout, end="")
        raise typer.Exit(finished.status)
    request = parse_delegate(delegate) if delegate is not None else None
    verification = verify_model(read_model_file(model), threads=threads, delegate=request)
    if json:
        print_json(verification_record(verification))
    else:
        _print_verification(verification)
    enforce(verification)


def _print_verification(verification: Verification) -> None:
    from edgecnn.runtime.inference.verdict import first_difference
    from edgecnn.runtime.inference.verify import VECTOR_STAGES

    print(f"exported with {_describe(verification.expected)}; here {_describe(verification.here)}")
    if verification.vectors:
        rows = [
            (
                f"{result.expected.height}x{result.expected.width}",
                *(_stage_result(result, stage) for stage in VECTOR_STAGES),
                _difference(result),
            )
            for result in verification.vectors
        ]
        columns = ("picture", *VECTOR_STAGES, "largest difference")
        print_table(verification.model.path.name, columns, rows, texts=VECTOR_STAGES)
    if first_difference(verification) is None:
        print(f"passed: {_verdict(verification)}")


def _stage_result(result: VectorResult, stage: Stage) -> str:
    if not result.equal[stage]:
        return "DIFFERS"
    return "close" if stage == "output" and result.max_difference else "equal"


def _difference(result: VectorResult) -> str:
    steps = "" if result.max_steps is None else f", {result.max_steps} steps"
    return f"{result.max_difference:.2g}{steps}"


def _verdict(verification: Verification) -> str:
    largest = max(result.max_difference for result in verification.vectors)
    if not largest:
        return "bit-identical, from the picture to the probabilities"
    kernels = "the same" if verification.same_family else "other"
    return (
        f"bit-identical up to the input tensor, probabilities within {largest:.2g}; "
        f"{verification.tolerance:g} is allowed for {kernels} kernels"
    )


def _describe(kernels: Kernels) -> str:
    delegate = f" with {kernels.delegate}" if kernels.delegate else ""
    return f"{kernels.package} {kernels.version}{delegate} on {kernels.machine}"
