"""The report of a run folder: one HTML page without anything from elsewhere, for a screen or a phone, light or dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from edgecnn.bench.charts import Curve, confusion_table, line_chart
from edgecnn.bench.markup import Markup, element, join
from edgecnn.core.atomic import write_text
from edgecnn.core.run_folder import read_results, read_run

MAX_CONFUSION_CLASSES = 40
"""More do not fit on a page; they are in the evaluation's JSON."""

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
    metrics: Mapping[str, Any]


def render_report(run: RunSection, evaluations: Sequence[tuple[str, Record]], benchmarks: Sequence[Record]) -> str:
    """The page of a run, from `run.json`, `(model name, evaluation record)` pairs and benchmark records.

    A section that has nothing to show names the command that fills it.
    """
    sections = [
        _section("Models", _comparison(evaluations, benchmarks)),
        _section("Training", _training(run["history"])),
        _section("Dataset", _dataset(run["dataset"])),
        _section("Accuracy by class", *(_accuracy(*each, opened=i == 0) for i, each in enumerate(evaluations))),
        _section("Latency", *map(_latency, benchmarks)),
        _section("Settings", _fields(run["settings"])),
        _section("Results of training", _fields(run["metrics"])),
        _section("Versions", _fields(run["versions"])),
        _section("Measured on", *map(_environment, benchmarks)),
    ]
    title = f"{run['name']}: edgecnn report"
    head = join(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(_STYLE)),
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
    return join(_table(heads, rows), note)


def _model_cells(evaluation: Record | None, measured: _Measured | None) -> list[str]:
    paired = evaluation["paired"] if evaluation else None
    return [
        (measured.precision if measured else None) or _NONE,
        _megabytes(measured.size_bytes) if measured else _NONE,
        _percent(evaluation["top1"]) if evaluation else _NONE,
        _change(paired) if paired else _NONE,
        _verdict(evaluation["gate"]) if evaluation else _NONE,
        _milliseconds(measured.p50_ms) + ("" if measured.valid else " (not valid)") if measured else _NONE,
        f"{measured.speedup:.2f}x" if measured and measured.speedup else _NONE,
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


def _training(history: Sequence[Record]) -> Markup:
    phases = dict.fromkeys(str(entry["phase"]) for entry in history)
    return join(*(_phase(phase, [entry for entry in history if str(entry["phase"]) == phase]) for phase in phases))


def _phase(name: str, entries: Sequence[Record]) -> Markup:
    epochs = [int(entry["epoch"]) for entry in entries]
    charts = [
        line_chart(
            quantity.capitalize(),
            epochs,
            (
                Curve("training", "training", [entry.get(quantity) for entry in entries]),
                Curve("validation", "validation", [entry.get(f"val_{quantity}") for entry in entries]),
            ),
        )
        for quantity in ("loss", "accuracy")
    ]
    count = f"{len(entries)} epoch{'s' if len(entries) != 1 else ''}"
    return join(element("h3", f"{name}, {count}"), element("div", *charts, class_="charts"))


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
    fingerprint = element("p", "Fingerprint of the photos: ", element("code", str(dataset.get("fingerprint", _NONE))))
    return join(_table(["Class", *counts], [*rows, ["All", *totals]]), fingerprint)


def _total(split: int | Mapping[str, int]) -> int:
    return sum(split.values()) if isinstance(split, Mapping) else split


def _accuracy(name: str, evaluation: Record, *, opened: bool) -> Markup:
    per_class = evaluation["per_class"]
    heads = ("Class", "Precision", "Recall", "F1", "Photos")
    rows = [
        [entry["label"], *(_percent(entry[key]) for key in ("precision", "recall", "f1")), str(entry["support"])]
        for entry in per_class
    ]
    content = [element("p", _accuracy_line(evaluation)), _table(heads, rows), element("h3", "Confusion")]
    if len(per_class) <= MAX_CONFUSION_CLASSES:
        content.append(confusion_table([entry["label"] for entry in per_class], evaluation["confusion"]))
    else:
        note = f"{len(per_class)} classes are too many to draw; edgecnn evaluate --json has the counts."
        content.append(element("p", note, class_="empty"))
    return _details(name, content, opened=opened)


def _accuracy_line(evaluation: Record) -> str:
    auc = evaluation["auc_roc"]
    return (
        f"{evaluation['n']} photos: top-1 {_percent(evaluation['top1'])}, top-5 {_percent(evaluation['top5'])}, "
        f"macro F1 {_percent(evaluation['macro_f1'])}, ROC AUC {_NONE if auc is None else f'{auc:.4f}'}."
    )


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
    return join(element("h3", model["name"]), element("p", f"{'; '.join(line)}."), _table(heads, rows))


def _sweep(sweep: Sequence[Record]) -> Markup:
    columns = ("p50_ms", "p90_ms", "p99_ms", "mean_ms")
    rows = [
        [str(entry["threads"]), *(_milliseconds(entry["stages"]["total"][column]) for column in columns)]
        for entry in sweep
    ]
    return join(element("h3", "By number of threads"), _table(("Threads", "p50", "p90", "p99", "Mean"), rows))


def _environment(record: Record) -> Markup:
    return _details(record["model"]["name"], [_fields(record["environment"])], opened=False)


# ---- parts


_NONE = "-"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first column names the row."""
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", text) for text in row[1:])) for row in rows
    ]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def _fields(values: Mapping[str, Any]) -> Markup:
    pairs = [join(element("dt", name), element("dd", _plain(value))) for name, value in values.items()]
    return element("dl", *pairs) if pairs else Markup()


def _details(summary: str, content: Iterable[Markup], *, opened: bool) -> Markup:
    return element("details", element("summary", summary), *content, open="" if opened else None)


def _plain(value: object) -> str:
    if value is None or (isinstance(value, (dict, list)) and not value):
        return _NONE
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}%"


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
        return _NONE
    words = {True: "passed", False: "failed", None: "undecided"}
    return f"{words[gate['passed']]} at {gate['max_drop']:g}"


_STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --dim: #5b6573; --page: #f6f7f9; --card: #fff; --line: #dde1e7;
  --training: #2563eb; --validation: #d9620b; --right: 37 99 235; --wrong: 217 70 30; --warning: #b42318; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --dim: #9aa4b2; --page: #12151a; --card: #1b2027;
  --line: #313945; --training: #6ea0ff; --validation: #ffa15c; --right: 70 120 230; --wrong: 225 95 60;
  --warning: #ff8a7a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 16px; }
header p { margin: 0; }
h1 { margin: 8px 0 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 1.2rem; }
h3 { margin: 20px 0 8px; font-size: 1rem; }
p { margin: 8px 0; color: var(--dim); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 16px 0; }
code { font-size: .875em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 0 6px 18px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th { color: var(--dim); vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; }
tbody th { position: sticky; left: 0; background: var(--card); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px; }
figure { margin: 0; }
figcaption { display: flex; gap: 16px; font-size: .875rem; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; margin: 0 6px 4px 0;
  background: currentColor; }
.key.training { color: var(--training); } .key.validation { color: var(--validation); }
svg { display: block; width: 100%; }
svg text { font-size: 11px; fill: var(--dim); }
svg .grid { stroke: var(--line); }
svg g.training { color: var(--training); } svg g.validation { color: var(--validation); }
svg path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg circle { fill: currentColor; }
.confusion th, .confusion td { padding: 4px; border: 1px solid var(--card); text-align: center; }
.confusion td { min-width: 34px; height: 34px; }
.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion tbody th { text-align: right; padding: 4px 8px 4px 0; }
.confusion .corner { font-weight: 400; text-align: right; vertical-align: bottom; }
.confusion .right { background: rgb(var(--right) / var(--shade)); }
.confusion .wrong { background: rgb(var(--wrong) / var(--shade)); }
.confusion .deep { color: #fff; }
details + details { margin-top: 12px; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 4px 16px; margin: 0;
  font-size: .875rem; }
dt { color: var(--dim); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 480px) { main { padding: 8px; } section { padding: 12px; } th, td { padding-left: 10px; } }
.empty { font-style: italic; }
.warning { color: var(--warning); }
"""
