"""Class names and licenses of data sets that are distributed as `.npz` files.

Names and licenses are those that the publishers state: Keras for MNIST (keras.io/api/datasets/mnist), medmnist.com for
the others. MedMNIST's sets with several labels per picture (ChestMNIST) and its sets of volumes are missing, because
they cannot be imported.
"""

from __future__ import annotations

from typing import NamedTuple

_MEDMNIST = (
    "Jiancheng Yang et al., MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image "
    "classification, Scientific Data 10, 41 (2023); and the source of the images, see https://medmnist.com"
)
_MNIST = "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition (1998)"
_BY, _BY_NC = "CC BY 4.0", "CC BY-NC 4.0, not for commercial use"
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right"),
    *("liver", "lung-left", "lung-right", "pancreas", "spleen"),
)


class KnownSet(NamedTuple):
    """A published data set."""

    labels: tuple[str, ...]
    license: str
    citation: str


KNOWN_SETS = {
    "mnist": KnownSet(tuple("0123456789"), "CC BY-SA 3.0, as Keras states it for its mnist.npz", _MNIST),
    "pathmnist": KnownSet(
        (
            *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
            *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
        ),
        _BY,
        _MEDMNIST,
    ),
    "dermamnist": KnownSet(
        (
            *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
            *("benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
        ),
        _BY_NC,
        _MEDMNIST,
    ),
    "octmnist": KnownSet(
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"), _BY, _MEDMNIST
    ),
    "pneumoniamnist": KnownSet(("normal", "pneumonia"), _BY, _MEDMNIST),
    "retinamnist": KnownSet(tuple("01234"), _BY, _MEDMNIST),
    "breastmnist": KnownSet(("malignant", "normal, benign"), _BY, _MEDMNIST),
    "bloodmnist": KnownSet(
        (
            *("basophil", "eosinophil", "erythroblast"),
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            *("lymphocyte", "monocyte", "neutrophil", "platelet"),
        ),
        _BY,
        _MEDMNIST,
    ),
    "tissuemnist": KnownSet(
        (
            *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
            *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
            "Thick Ascending Limb",
        ),
        _BY,
        _MEDMNIST,
    ),
    "organamnist": KnownSet(_ORGANS, _BY, _MEDMNIST),
    "organcmnist": KnownSet(_ORGANS, _BY, _MEDMNIST),
    "organsmnist": KnownSet(_ORGANS, _BY, _MEDMNIST),
}
"""The data sets by the name of their file, in lower case."""


def find_known_set(stem: str) -> tuple[str, KnownSet | None]:
    """Look up the data set that a file is named after; `pathmnist_64` is the 64-pixel version of `pathmnist`.

    Args:
        stem: Name of the file without its extension.

    Returns:
        The name of the data set without the size, and its entry in `KNOWN_SETS`; None if it has none.
    """
    name, _, size = stem.rpartition("_")
    base = name if size.isdigit() and name else stem
    return base, KNOWN_SETS.get(base.lower())
