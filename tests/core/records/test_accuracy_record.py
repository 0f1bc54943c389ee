from __future__ import annotations

import json

import numpy as np

from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import accuracy_metrics
from edgecnn.core.records.evaluation import AccuracyRecord, accuracy_record

LABELS = LabelMap(("a", "b", "c"))


def test_the_record_has_the_documented_keys() -> None:
    record = accuracy_record(accuracy_metrics(np.eye(3, dtype=np.float32), np.arange(3), LABELS)).to_json()
    assert list(record) == [
        *("n", "top1", "top5", "macro_precision", "macro_recall", "macro_f1"),
        *("weighted_precision", "weighted_recall", "weighted_f1", "auc_roc", "ece", "mce", "brier"),
        *("per_class", "confusion", "reliability", "roc", "threshold"),
    ]
    perfect = {"label": "a", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1, "auc_roc": 1.0}
    assert record["per_class"][0] == perfect
    assert record["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert record["reliability"] == [{"n": 3, "confidence": 1.0, "accuracy": 1.0}]
    assert record["roc"] == [[[0, 0], [0, 1], [1, 1]]] * 3
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert AccuracyRecord.model_validate(record).to_json() == record


def test_undefined_metrics_are_null() -> None:
    # Only one class, and outputs that are not probabilities.
    metrics = accuracy_metrics(np.array([[7, -3, 0]], np.float32), np.array([0]), LABELS)
    record = accuracy_record(metrics).to_json()
    assert [record[key] for key in ("auc_roc", "ece", "mce", "brier", "reliability", "roc")] == [None] * 5 + [[None]]


def test_keys_can_be_left_out() -> None:
    record = accuracy_record(accuracy_metrics(np.eye(3, dtype=np.float32), np.arange(3), LABELS))
    assert "roc" not in record.to_json(without={"roc"})
