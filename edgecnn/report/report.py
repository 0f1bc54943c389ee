"""The report of a run folder: one HTML page without anything from elsewhere, for a screen or a phone, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from edgecnn.core.atomic import write_text
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.core.run.run_folder import Phase, read_results, read_run
from edgecnn.report.accuracy_details import accuracy_details
from edgecnn.report.charts import Curve, line_chart
from edgecnn.report.markup import Markup, element, join
from edgecnn.report.page import NONE, STYLE, details, fields, percent, table

Record = Mapping[str, Any]
"""An object as it was read from JSON."""


class RunSection(TypedDict):
    """What the report reads of `run.json`."""

    name: str
    backbone: str
    settings: Record
    dataset: Record
    """`fingerprint`, and `counts`: photos by split, or by split and class."""
    versions: Mapping[str, str]
    history: Sequence[Record]
    """One object an epoch: `phase`, `epoch`, `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`."""
    best_epochs: Mapping[Phase, int]
    """The number of the best epoch of each phase; 0 of `qat` is its calibrated start."""
    metrics: Mapping[str, Any]


def render_report(run: RunSection, evaluations: Sequence[tuple[str, Record]], benchmarks: Sequence[Record]) -> str:
    """The page of a run, from `run.json`, `(model name, evaluation record)` pairs and benchmark records.

    A section that has nothing to show names the command that fills it.
    """
    sections = [
        _section("Models", _comparison(evaluations, benchmarks)),
        _section("Training", _training(run["history"], run["best_epochs"])),
        _section("Dataset", _dataset(run["dataset"])),
        _section("Accuracy by class", *(accuracy_details(*each, opened=i == 0) for i, each in enumerate(evaluations))),
        _section("Latency", *map(_latency, benchmarks)),
        _section("Settings", fields(run["settings"])),
        _section("Results of training", fields(run["metrics"])),
        _section("Versions", fields(run["versions"])),
        _section("Measured on", *map(_environment, benchmarks)),
    ]
    title = f"{run['name']}: edgecnn report"
    head = join(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    header = element("header", element("h1", run["name"]), element("p", f"{run['backbone']}, trained with edgecnn"))
    body = element("main", header, *sections)
    return f'<!doctype html>\n<html lang="en">{element("head", head)}{element("body", body)}</html>\n'


def write_report(run: Path, out: Path | None = None) -> Path:
    """Writes the page of a run folder, to `RUN/report.html` unless told otherwise, and returns its path."""
    folder, record = read_run(run)
    values = record.model_dump(mode="json")
    section = RunSection(
        name=record.name,
        backbone=record.backbone,
        settings=values["settings"],
        dataset={"fingerprint": record.dataset.fingerprint, "counts": record.class_counts},
        versions=record.versions,
        history=values["history"],
        best_epochs=best_epochs(record.history, record.settings.monitor, record.qat),
        metrics=record.metrics,
    )
    benchmarks = [measured for _, measured in read_results(folder, "benchmark")]
    page = render_report(section, read_results(folder, "evaluation"), benchmarks)
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
    """What a benchmark tells of one model."""

    precision: str | None
    size_bytes: int
    p50_ms: float
    speedup: float | None
    valid: bool


def _comparison(evaluations: Sequence[tuple[str, Record]], benchmarks: Sequence[Record]) -> Markup:
    evaluated, measured = dict(evaluations), _measured(benchmarks)
    names = list(dict.fromkeys([*evaluated, *measured]))
    if not names:
        return Markup()
    heads = ("Model", "Precision", "Size", "Top-1", "Change in points (95% interval)", "Gate", "p50", "Speed-up")
    rows = [[name, *_model_cells(evaluated.get(name), measured.get(name))] for name in names]
    note = element("p", "Change: top-1 against the baseline on the same photos. p50: the whole path of one frame.")
    return join(table(heads, rows), note)


def _model_cells(evaluation: Record | None, measured: _Measured | None) -> list[str]:
    paired = evaluation["paired"] if evaluation else None
    return [
        (measured.precision if measured else None) or NONE,
        _megabytes(measured.size_bytes) if measured else NONE,
        percent(evaluation["top1"]) if evaluation else NONE,
        _change(paired) if paired else NONE,
        _verdict(evaluation["gate"]) if evaluation else NONE,
        _milliseconds(measured.p50_ms) + ("" if measured.valid else " (not valid)") if measured else NONE,
        f"{measured.speedup:.2f}x" if measured and measured.speedup else NONE,
    ]


def _measured(benchmarks: Iterable[Record]) -> dict[str, _Measured]:
    """By model name; what was measured as a model in its own right goes before what was a baseline."""
    own: dict[str, _Measured] = {}
    beside: dict[str, _Measured] = {}
    for record in benchmarks:
        model, baseline, valid = record["model"], record["baseline"], record["valid"]
        own[model["name"]] = _measurement(model, record["stages"], record["speedup_p50"], valid)
        if baseline:
            beside[baseline["name"]] = _measurement(baseline, baseline["stages"], None, valid)
    return {**own, **{name: entry for name, entry in beside.items() if name not in own}}


def _measurement(identity: Record, stages: Record, speedup: float | None, valid: bool) -> _Measured:
    return _Measured(identity["precision"], identity["size_bytes"], stages["total"]["p50_ms"], speedup, valid)


def _training(history: Sequence[Record], best: Mapping[Phase, int]) -> Markup:
    phases: dict[Phase, None] = dict.fromkeys(entry["phase"] for entry in history)
    return join(
        *(_phase(name, [entry for entry in history if entry["phase"] == name], best.get(name)) for name in phases)
    )


def _phase(name: str, entries: Sequence[Record], best: int | None) -> Markup:
    epochs = [int(entry["epoch"]) for entry in entries]
    charts = [
        line_chart(
            quantity.capitalize(),
            epochs,
            (
                Curve("training", "training", [entry.get(quantity) for entry in entries]),
                Curve("validation", "validation", [entry.get(f"val_{quantity}") for entry in entries]),
            ),
            best or None,
        )
        for quantity in ("loss", "accuracy")
    ]
    count = f"{len(entries)} epoch{'s' if len(entries) != 1 else ''}"
    said = "" if best is None else f"; best: epoch {best}" if best else "; best: the calibrated start"
    return join(element("h3", f"{name}, {count}{said}"), element("div", *charts, class_="charts"))


def _dataset(dataset: Record) -> Markup:
    counts = dataset.get("counts") or {}
    if not counts:
        return Markup()
    totals = [str(_total(split)) for split in counts.values()]
    by_class = [split for split in counts.values() if isinstance(split, Mapping)]
    classes = dict.fromkeys(name for split in by_class for name in split)
    rows = [[name, *(str(split.get(name, 0)) for split in by_class)] for name in classes]
    if len(by_class) != len(counts):
        rows = []
    fingerprint = element("p", "Fingerprint of the photos: ", element("code", str(dataset.get("fingerprint", NONE))))
    return join(table(["Class", *counts], [*rows, ["All", *totals]]), fingerprint)


def _total(split: int | Mapping[str, int]) -> int:
    return sum(split.values()) if isinstance(split, Mapping) else split


def _latency(record: Record) -> Markup:
    model = {**record, **record["model"]}
    parts = [_stages(model)]
    if record["baseline"]:
        parts.append(_stages(record["baseline"]))
    if record.get("sweep"):
        parts.append(_sweep(record["sweep"]))
    if record["invalid_reasons"]:
        parts.append(element("p", "Not a valid measurement:", class_="warning"))
        parts.append(element("ul", *(element("li", reason) for reason in record["invalid_reasons"]), class_="warning"))
    return join(*parts)


def _stages(model: Record) -> Markup:
    heads = ("Stage", "p50", "p90", "p99", "Mean", "Samples")
    columns = ("p50_ms", "p90_ms", "p99_ms", "mean_ms")
    rows = [
        [stage, *(_milliseconds(stats[column]) for column in columns), str(stats["n"])]
        for stage, stats in model["stages"].items()
    ]
    threads = f"{model['threads']} thread{'s' if model['threads'] != 1 else ''}"
    line = [threads, f"from opening the file to the first prediction {_milliseconds(model['cold_start_ms'])}"]
    if peak := model.get("peak_rss_bytes"):
        line.append(f"{_megabytes(peak)} of memory at most")
    if energy := model.get("energy"):
        line.append(f"{energy['mean_watts']:.2f} W, {energy['mj_per_frame']:.1f} mJ a frame")
    return join(element("h3", model["name"]), element("p", f"{'; '.join(line)}."), table(heads, rows))


def _sweep(sweep: Sequence[Record]) -> Markup:
    columns = ("p50_ms", "p90_ms", "p99_ms", "mean_ms")
    rows = [
        [str(entry["threads"]), *(_milliseconds(entry["stages"]["total"][column]) for column in columns)]
        for entry in sweep
    ]
    return join(element("h3", "By number of threads"), table(("Threads", "p50", "p90", "p99", "Mean"), rows))


def _environment(record: Record) -> Markup:
    return details(record["model"]["name"], [fields(record["environment"])], opened=False)


# ---- figures


def _milliseconds(value: float) -> str:
    return f"{value:.2f} ms"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB"


def _change(paired: Record) -> str:
    low, high = paired["ci95"]
    return f"{_signed(paired['delta_top1'])} ({_signed(low)} to {_signed(high)})"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.2f}"


def _verdict(gate: Record | None) -> str:
    if gate is None:
        return NONE
    words = {True: "passed", False: "failed", None: "undecided"}
    return f"{words[gate['passed']]} at {gate['max_drop']:g}"
