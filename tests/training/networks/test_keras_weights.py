"""Tests of the weights that Keras publishes, with random weights under the published file names."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess
from edgecnn.training.keras import keras
from edgecnn.training.networks import keras_weights
from edgecnn.training.networks.build import build_backbone, build_imagenet_classifier
from edgecnn.training.networks.catalog import BackboneSpec, backbone_spec
from edgecnn.training.normalization import normalize
from tests.training.networks import scramble

NARROW = backbone_spec("mobilenet_v2", 0.35)
VGG16 = backbone_spec("vgg16")
CHELSEA: Image = skimage.data.chelsea()  # type: ignore[no-untyped-call]


@pytest.fixture
def keras_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty Keras folder; every download fails."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_weights, "_BASE_URL", "http://127.0.0.1:9/")
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path, keras_models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a replacement for the published storage, and return its folder for MobileNetV2."""
    root = tmp_path / "store"
    folder = root / "tensorflow/keras-applications/mobilenet_v2"
    folder.mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(keras_weights, "_BASE_URL", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def mobilenet_v2_file(alpha: float, size: int, ending: str = "_no_top") -> str:
    return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}{ending}.h5"


def prepared(size: int) -> NDArray[np.uint8]:
    """Return a photo as `[1, size, size, 3]`."""
    return preprocess(CHELSEA, PreprocessSpec(height=size, width=size, mean=(0,) * 3, std=(1,) * 3))[None]


def network_input(photo: NDArray[np.uint8], spec: BackboneSpec) -> NDArray[np.float32]:
    return normalize(photo, PreprocessSpec(height=1, width=1, mean=spec.mean, std=spec.std))


# ---- the files


@pytest.mark.parametrize(("height", "size"), [(128, 128), (100, 128), (256, 224)])
def test_mobilenet_starts_from_the_weights_of_the_nearest_size(keras_models: Path, height: int, size: int) -> None:
    if "EDGECNN_DATA" not in os.environ:
        pytest.skip("set EDGECNN_DATA to the folder with keras_models/ of published weights")
    published = Path(os.environ["EDGECNN_DATA"]) / "keras_models" / mobilenet_v2_file(0.35, size)
    shutil.copy(published, keras_models)
    photo = network_input(prepared(height), NARROW)
    features = build_backbone(NARROW, height=height, width=height, weights="imagenet")(photo)
    reference = keras.applications.MobileNetV2(
        (height, height, 3), alpha=0.35, include_top=False, weights=str(published), pooling="avg"
    )
    assert np.ptp(features) > 1
    np.testing.assert_allclose(features, reference(photo), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(32, 32, 96), (96, 96, 96), (97, 96, 128), (160, 96, 160), (180, 180, 192), (224, 224, 224), (320, 240, 224)],
)
def test_the_weights_file_depends_on_the_input_size(keras_models: Path, height: int, width: int, size: int) -> None:
    with pytest.raises(InputError) as caught:
        keras_weights.imagenet_weights(backbone_spec("mobilenet_v2", 0.5), height, width, head=False)
    assert mobilenet_v2_file(0.5, size) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "alpha", "head", "url"),
    [
        ("vgg16", None, False, "applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("vgg19", None, True, "applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5"),
        ("resnet50", None, False, "applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("mobilenet_v1", 0.25, False, "applications/mobilenet/mobilenet_2_5_128_tf_no_top.h5"),
        ("mobilenet_v1", 0.75, True, "applications/mobilenet/mobilenet_7_5_128_tf.h5"),
        ("mobilenet_v1", 1.0, False, "applications/mobilenet/mobilenet_1_0_128_tf_no_top.h5"),
        ("efficientnet_b0", None, False, "/keras-applications/efficientnetb0_notop.h5"),
        ("efficientnet_b0", None, True, "/keras-applications/efficientnetb0.h5"),
    ],
)
def test_missing_weights_are_reported_with_their_url_and_their_folder(
    keras_models: Path, name: str, alpha: float | None, head: bool, url: str
) -> None:
    with pytest.raises(InputError) as caught:
        keras_weights.imagenet_weights(backbone_spec(name, alpha), 96, 96, head=head)
    message = str(caught.value)
    assert "\n" not in message
    assert f"{url} on a machine with internet access and put it into {keras_models}" in message
    assert not any(keras_models.iterdir())


def test_the_imagenet_classifier_of_mobilenet_computes_as_keras(store: Path, keras_models: Path) -> None:
    reference = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)
    reference.save_weights(store / mobilenet_v2_file(0.35, 96, ending=""))
    photo = network_input(prepared(96), NARROW)
    for _downloaded_then_cached in range(2):
        model = build_imagenet_classifier(NARROW, height=96, width=96, weights="imagenet")
        np.testing.assert_allclose(model(photo), reference(photo), rtol=1e-4, atol=1e-6)
        shutil.rmtree(store, ignore_errors=True)
    assert [file.name for file in keras_models.iterdir()] == [mobilenet_v2_file(0.35, 96, ending="")]


def test_a_downloaded_login_page_is_not_saved(store: Path, keras_models: Path) -> None:
    (store / mobilenet_v2_file(0.35, 96)).write_text("<html>please log in</html>")
    with pytest.raises(InputError, match="not an HDF5 file"):
        build_backbone(NARROW, height=96, width=96, weights="imagenet")
    assert not any(keras_models.iterdir())


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "lenet5", "mnist_cnn"])
def test_a_network_without_loadable_weights_is_reported(name: str) -> None:
    with pytest.raises(
        InputError, match=f"no ImageNet weights of {name} are available .*; train it from scratch with --weights none"
    ):
        build_backbone(backbone_spec(name), height=64, width=64, weights="imagenet")


# ---- from Keras's input to edgecnn's


def published(name: str, alpha: float | None, file: Path, **options: Any) -> Any:
    """Save Keras's own network with random weights to `file`.

    Return a function that computes a layer's output for bytes, with Keras's own preprocessing.
    """
    applications = keras.applications
    network, prepare = {
        "vgg16": (applications.VGG16, applications.vgg16.preprocess_input),
        "resnet50": (applications.ResNet50, applications.resnet50.preprocess_input),
        "mobilenet_v1": (applications.MobileNet, applications.mobilenet.preprocess_input),
        "efficientnet_b0": (applications.EfficientNetB0, applications.efficientnet.preprocess_input),
    }[name]
    if alpha is not None:
        options["alpha"] = alpha
    model = network(weights=None, **options)
    scramble(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            # (x / 255 - mean) / std, as Keras computes it with `weights="imagenet"`.
            std = np.array([0.229, 0.224, 0.225])
            layer.set_weights([np.array([0.485, 0.456, 0.406]), std**2, np.array(0)])
            layer.finalize_state()
    model.save_weights(file)
    return lambda layer, images: keras.Model(model.input, model.get_layer(layer).output)(
        prepare(images.astype(np.float32))
    ).numpy()


@pytest.mark.parametrize(
    ("name", "file", "first", "last", "tolerance"),
    [
        ("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop", "block1_conv1", "block5_pool", 1e-5),
        ("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop", "conv1_relu", "conv5_block3_out", 1e-5),
        ("efficientnet_b0", "efficientnetb0_notop", "stem_activation", "top_activation", 1e-5),
        # Published for a mean of 127.5, which is not an integer.
        ("mobilenet_v1", "mobilenet_2_5_128_tf_no_top", "conv1_relu", "conv_pw_13_relu", 0.02),
    ],
)
def test_published_weights_compute_the_same_from_edgecnn_s_input(
    keras_models: Path, *, name: str, file: str, first: str, last: str, tolerance: float
) -> None:
    alpha = 0.25 if name == "mobilenet_v1" else None
    spec, photo = backbone_spec(name, alpha), prepared(64)
    expected = published(name, alpha, keras_models / f"{file}.h5", include_top=False, input_shape=(64, 64, 3))
    model = build_backbone(spec, height=64, width=64, weights="imagenet")
    probe = keras.Model(model.input, [model.get_layer(first).output, model.get_layer(last).output])
    first_output, last_output = (values.numpy() for values in probe(network_input(photo, spec)))

    # The padding around the picture has another gray level.
    inside = (slice(None), slice(2, -2), slice(2, -2))
    first_expected = expected(first, photo)
    atol = tolerance * np.abs(first_expected).max()
    np.testing.assert_allclose(first_output[inside], first_expected[inside], rtol=0, atol=atol)
    assert np.corrcoef(last_output.ravel(), expected(last, photo).ravel())[0, 1] > 0.99


def test_files_of_keras_and_of_edgecnn_are_distinguished(keras_models: Path) -> None:
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published("vgg16", None, keras_models / name, include_top=False, input_shape=(32, 32, 3))
    model = build_backbone(VGG16, height=32, width=32, weights="imagenet")
    by_path = build_backbone(VGG16, height=32, width=32, weights=keras_models / name)
    model.save_weights(keras_models / "saved.h5")
    saved = build_backbone(VGG16, height=32, width=32, weights=keras_models / "saved.h5")
    for other in (by_path, saved):
        np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_the_convolutional_head_of_keras_mobilenet_v1_becomes_a_dense_layer(keras_models: Path) -> None:
    spec, photo = backbone_spec("mobilenet_v1", 0.25), prepared(128)
    expected = published("mobilenet_v1", 0.25, keras_models / "mobilenet_2_5_128_tf.h5", input_shape=(128, 128, 3))
    model = build_imagenet_classifier(spec, height=128, width=128, weights="imagenet")
    probabilities = model(network_input(photo, spec)).numpy()
    np.testing.assert_allclose(probabilities, expected("predictions", photo), rtol=0, atol=0.01)
    assert probabilities.max() > 0.02


def test_a_file_of_another_network_is_rejected_in_one_line(keras_models: Path) -> None:
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    keras.applications.MobileNet((32, 32, 3), 0.25, include_top=False, weights=None).save_weights(keras_models / name)
    with pytest.raises(ModelFileError, match=r"does not fit vgg16: .*; choose the model it was saved from") as caught:
        build_backbone(VGG16, height=32, width=32, weights="imagenet")
    assert "\n" not in str(caught.value)
