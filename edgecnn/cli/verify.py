"""`edgecnn verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import print_json, print_table
from edgecnn.cli.options import Delegate, Json, Threads
from edgecnn.cli.remote_option import On, SshConfig, run_remote_and_exit, to_argv

if TYPE_CHECKING:
    from edgecnn.core.model_file.golden import Kernels
    from edgecnn.runtime.inference.verify import Stage, VectorResult, Verification


def register(app: typer.Typer) -> None:
    """Adds this family's command."""
    app.command()(verify)


def verify(
    model: Annotated[Path, typer.Argument(help="A .tflite file that edgecnn exported.")],
    threads: Threads = 1,
    delegate: Delegate = None,
    on: On = None,
    ssh_config: SshConfig = None,
    json: Json = False,
) -> None:
    """Prove that this machine computes what the exporting one did: the file's golden vectors, stage by stage."""
    from edgecnn.core.model_file.model_file import read_model_file
    from edgecnn.runtime.inference.delegate import parse_delegate
    from edgecnn.runtime.inference.verdict import enforce, verification_record
    from edgecnn.runtime.inference.verify import verify as verify_model

    if on is not None:
        options = to_argv({"--threads": threads, "--delegate": delegate})
        run_remote_and_exit(on, ["verify", model, *options, *(["--json"] if json else [])], ssh_config)
        return
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

    print(f"exported with {_named(verification.expected)}; here {_named(verification.here)}")
    if verification.vectors:
        rows = [
            (
                f"{result.expected.height}x{result.expected.width}",
                *(_word(result, stage) for stage in VECTOR_STAGES),
                _off(result),
            )
            for result in verification.vectors
        ]
        columns = ("picture", *VECTOR_STAGES, "largest difference")
        print_table(verification.model.path.name, columns, rows, texts=VECTOR_STAGES)
    if first_difference(verification) is None:
        print(f"passed: {_verdict(verification)}")


def _word(result: VectorResult, stage: Stage) -> str:
    if not result.equal[stage]:
        return "DIFFERS"
    return "close" if stage == "output" and result.max_difference else "equal"


def _off(result: VectorResult) -> str:
    steps = "" if result.max_steps is None else f", {result.max_steps} steps"
    return f"{result.max_difference:.2g}{steps}"


def _verdict(verification: Verification) -> str:
    largest = max(result.max_difference for result in verification.vectors)
    if not largest:
        return "equal to the bit, from the picture to the probabilities"
    kernels = "these" if verification.same_family else "other"
    return (
        f"equal to the bit up to the input tensor, probabilities within {largest:.2g}; "
        f"{verification.tolerance:g} are allowed for {kernels} kernels"
    )


def _named(kernels: Kernels) -> str:
    delegate = f" with {kernels.delegate}" if kernels.delegate else ""
    return f"{kernels.package} {kernels.version}{delegate} on {kernels.machine}"
