"""The report of a run folder: one self-contained HTML page for a screen or a phone, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.atomic import write_text
from edgecnn.core.records.benchmark import BenchmarkRecord, ModelIdentity, Stages, SweepRecord, Timing
from edgecnn.core.records.evaluation import EvaluationRecord, GateRecord, PairedRecord
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.core.run.run_folder import EpochRecord, Phase, RunRecord, read_run
from edgecnn.core.run.saved_results import read_benchmarks, read_evaluations
from edgecnn.report.accuracy_details import accuracy_details
from edgecnn.report.charts import epochs_of_phases, phase_charts, phase_title
from edgecnn.report.drawing import inline_svg
from edgecnn.report.markup import Markup, element, join
from edgecnn.report.page import NONE, STYLE, details, fields, percent, table


def render_report(
    run: RunRecord, evaluations: Mapping[str, EvaluationRecord], benchmarks: Sequence[BenchmarkRecord]
) -> str:
    """Return the page of a run. A section without content names the command that fills it.

    Args:
        run: The content of `run.json`.
        evaluations: Saved evaluations by model name.
        benchmarks: Saved benchmarks.

    Returns:
        An HTML document.
    """
    folded = (accuracy_details(*entry, opened=index == 0) for index, entry in enumerate(evaluations.items()))
    sections = [
        _section("Models", _comparison(evaluations, benchmarks)),
        _section("Training", *_training(run)),
        _section("Dataset", _dataset(run)),
        _section("Accuracy by class", *folded),
        _section("Latency", *map(_latency, benchmarks)),
        _section("Settings", fields(run.settings.model_dump(mode="json"))),
        _section("Results of training", fields(run.metrics)),
        _section("Versions", fields(run.versions)),
        _section("Measured on", *map(_environment, benchmarks)),
    ]
    title = f"{run.name}: edgecnn report"
    head = join(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    header = element("header", element("h1", run.name), element("p", f"{run.backbone}, trained with edgecnn"))
    body = element("main", header, *sections)
    return f'<!doctype html>\n<html lang="en">{element("head", head)}{element("body", body)}</html>\n'


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the page of a run folder.

    Args:
        run: The run folder.
        out: File to write; `RUN/report.html` by default.

    Returns:
        The file written.

    Raises:
        InputError: If the folder or a result saved in it is invalid.
        WriteError: If the file cannot be written.
    """
    folder, record = read_run(run)
    page = render_report(record, read_evaluations(folder), list(read_benchmarks(folder).values()))
    write_text(out or folder.report, page)
    return out or folder.report


# ---- sections


_COMMANDS = {
    "Models": "edgecnn evaluate MODEL DATA and edgecnn benchmark MODEL",
    "Training": "edgecnn train DATA --out RUN",
    "Dataset": "edgecnn train DATA --out RUN",
    "Accuracy by class": "edgecnn evaluate MODEL DATA",
    "Latency": "edgecnn benchmark MODEL",
    "Settings": "edgecnn train DATA --out RUN",
    "Results of training": "edgecnn train DATA --out RUN",
    "Versions": "edgecnn train DATA --out RUN",
    "Measured on": "edgecnn benchmark MODEL",
}


def _section(title: str, *content: Markup) -> Markup:
    body = join(*content)
    if not body:
        body = element(
            "p", "Nothing here yet; it is filled by ", element("code", _COMMANDS[title]), ".", class_="empty"
        )
    return element("section", element("h2", title), body)


class _Measured(NamedTuple):
    """Figures of one model from a benchmark."""

    precision: str | None
    size_bytes: int
    p50_ms: float
    speedup: float | None
    valid: bool


def _comparison(evaluations: Mapping[str, EvaluationRecord], benchmarks: Sequence[BenchmarkRecord]) -> Markup:
    measured = _measured(benchmarks)
    names = list(dict.fromkeys([*evaluations, *measured]))
    if not names:
        return Markup()
    heads = ("Model", "Precision", "Size", "Top-1", "Change in points (95% interval)", "Gate", "p50", "Speed-up")
    rows = [[name, *_model_cells(evaluations.get(name), measured.get(name))] for name in names]
    note = element("p", "Change: top-1 against the baseline on the same photos. p50: the whole path of one frame.")
    return join(table(heads, rows), note)


def _model_cells(evaluation: EvaluationRecord | None, measured: _Measured | None) -> list[str]:
    return [
        (measured.precision if measured else None) or NONE,
        _megabytes(measured.size_bytes) if measured else NONE,
        percent(evaluation.top1) if evaluation else NONE,
        _change(evaluation.paired) if evaluation and evaluation.paired else NONE,
        _verdict(evaluation.gate) if evaluation and evaluation.gate else NONE,
        _milliseconds(measured.p50_ms) + ("" if measured.valid else " (not valid)") if measured else NONE,
        f"{measured.speedup:.2f}x" if measured and measured.speedup else NONE,
    ]


def _measured(benchmarks: Iterable[BenchmarkRecord]) -> dict[str, _Measured]:
    """Return figures by model name; a model's own benchmark overrides one in which it was the baseline."""
    own: dict[str, _Measured] = {}
    as_baseline: dict[str, _Measured] = {}
    for record in benchmarks:
        model, baseline = record.model, record.baseline
        own[model.name] = _figures(model, record.stages, record.speedup_p50, valid=record.valid)
        if baseline:
            as_baseline[baseline.name] = _figures(baseline, baseline.stages, None, valid=record.valid)
    return {**own, **{name: entry for name, entry in as_baseline.items() if name not in own}}


def _figures(identity: ModelIdentity, stages: Stages, speedup: float | None, *, valid: bool) -> _Measured:
    return _Measured(identity.precision, identity.size_bytes, stages.total.p50_ms, speedup, valid)


def _training(run: RunRecord) -> Iterable[Markup]:
    best = best_epochs(run.history, run.settings.monitor, run.qat)
    return (_phase(phase, epochs, best.get(phase)) for phase, epochs in epochs_of_phases(run.history).items())


def _phase(phase: Phase, epochs: Sequence[EpochRecord], best: int | None) -> Markup:
    charts = (element("figure", inline_svg(chart)) for chart in phase_charts(epochs, best))
    return join(element("h3", phase_title(phase, epochs, best)), element("div", *charts, class_="charts"))


def _dataset(run: RunRecord) -> Markup:
    counts = run.class_counts
    if not counts:
        return Markup()
    classes = dict.fromkeys(name for split in counts.values() for name in split)
    rows = [[name, *(str(split.get(name, 0)) for split in counts.values())] for name in classes]
    totals = ["All", *(str(sum(split.values())) for split in counts.values())]
    fingerprint = element("p", "Fingerprint of the photos: ", element("code", run.dataset.fingerprint))
    return join(table(["Class", *counts], [*rows, totals]), fingerprint)


def _latency(record: BenchmarkRecord) -> Markup:
    parts = [_stages(record.model, record)]
    if record.baseline:
        parts.append(_stages(record.baseline, record.baseline))
    if record.sweep:
        parts.append(_sweep(record.sweep))
    if record.invalid_reasons:
        parts.append(element("p", "Not a valid measurement:", class_="warning"))
        parts.append(element("ul", *(element("li", reason) for reason in record.invalid_reasons), class_="warning"))
    return join(*parts)


def _stages(identity: ModelIdentity, timing: Timing) -> Markup:
    heads = ("Stage", "p50", "p90", "p99", "Mean", "Samples")
    rows = [
        [stage, *map(_milliseconds, (stats.p50_ms, stats.p90_ms, stats.p99_ms, stats.mean_ms)), str(stats.n)]
        for stage, stats in timing.stages
    ]
    line = [
        f"{identity.threads} thread{'s' if identity.threads != 1 else ''}",
        f"from opening the file to the first prediction {_milliseconds(timing.cold_start_ms)}",
    ]
    if timing.peak_rss_bytes:
        line.append(f"{_megabytes(timing.peak_rss_bytes)} of memory at most")
    if timing.energy:
        line.append(f"{timing.energy.mean_watts:.2f} W, {timing.energy.mj_per_frame:.1f} mJ a frame")
    return join(element("h3", identity.name), element("p", f"{'; '.join(line)}."), table(heads, rows))


def _sweep(sweep: Sequence[SweepRecord]) -> Markup:
    totals = [(entry.threads, entry.stages.total) for entry in sweep]
    rows = [
        [str(threads), *map(_milliseconds, (total.p50_ms, total.p90_ms, total.p99_ms, total.mean_ms))]
        for threads, total in totals
    ]
    return join(element("h3", "By number of threads"), table(("Threads", "p50", "p90", "p99", "Mean"), rows))


def _environment(record: BenchmarkRecord) -> Markup:
    return details(record.model.name, [fields(record.environment.to_json())], opened=False)


# ---- figures


def _milliseconds(value: float) -> str:
    return f"{value:.2f} ms"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB"


def _change(paired: PairedRecord) -> str:
    low, high = paired.ci95
    return f"{_signed(paired.delta_top1)} ({_signed(low)} to {_signed(high)})"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.2f}"


def _verdict(gate: GateRecord) -> str:
    words = {True: "passed", False: "failed", None: "undecided"}
    return f"{words[gate.passed]} at {gate.max_drop:g}"
