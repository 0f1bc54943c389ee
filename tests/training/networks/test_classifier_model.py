from __future__ import annotations

from typing import Any

import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import (
    attach_head,
    check_unfreeze,
    freeze,
    layers_to_unfreeze,
    unfreeze,
)

NAME = "mobilenet_v2"


@pytest.fixture
def model() -> Any:
    spec = backbone_spec(NAME, 0.35)
    model = attach_head(build_backbone(spec, height=32, width=32, weights=None), classes=3, dropout=0.2)
    freeze(model)
    return model


def trainable(model: Any) -> list[str]:
    return [layer.name for layer in model.layers if layer.trainable and layer.weights]


def test_only_the_head_of_a_frozen_model_is_trainable(model: Any) -> None:
    assert trainable(model) == ["classifier"]


def test_the_last_blocks_can_be_unfrozen_except_batch_normalization(model: Any) -> None:
    unfreeze(model, 2, NAME)
    assert trainable(model) == [
        *("block_16_expand", "block_16_depthwise", "block_16_project", "Conv_1"),
        "classifier",
    ]


def test_everything_from_a_layer_onwards_can_be_unfrozen(model: Any) -> None:
    unfreeze(model, "block_16_project", NAME)
    assert trainable(model) == ["block_16_project", "Conv_1", "classifier"]


def test_all_layers_can_be_unfrozen(model: Any) -> None:
    assert layers_to_unfreeze(model, "all", NAME) == {layer.name for layer in model.layers}


def test_a_selection_is_checked_without_changing_the_model(model: Any) -> None:
    for selection in (18, "block_16_project", "all"):
        check_unfreeze(model, selection, NAME)
    assert trainable(model) == ["classifier"]


def test_an_impossible_selection_is_rejected(model: Any) -> None:
    with pytest.raises(InputError, match="mobilenet_v2 has 19 blocks, got --unfreeze 20"):
        check_unfreeze(model, 20, NAME)
    with pytest.raises(UnknownName, match=r"unknown layer of mobilenet_v2 in --unfreeze 'blok_16_project': did you"):
        check_unfreeze(model, "blok_16_project", NAME)
