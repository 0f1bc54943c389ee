"""Transfer learning as in Keras's tutorials: `keras_transfer.py DATA MODEL EPOCHS` prints a line of JSON.

DATA contains train/ and validation/ (or val/) with one folder per class. The backbone is edgecnn's, so that weights and
input size are the same; it ends in global average pooling. Run by `benchmarks/training.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgecnn.training.keras import keras, tf
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import BackboneSpec, backbone_spec

BATCH_SIZE, DROPOUT, SEED = 32, 0.2, 0


def main(data: Path, name: str, epochs: int) -> None:
    keras.utils.set_random_seed(SEED)
    spec = backbone_spec(name)
    training, classes = photos(data / "train", spec, shuffle=True)
    validation, _ = photos(data / "validation" if (data / "validation").is_dir() else data / "val", spec, shuffle=False)

    base = build_backbone(spec, height=spec.height, width=spec.width, weights="imagenet")
    base.trainable = False
    inputs = keras.Input((spec.height, spec.width, 3))
    features = keras.layers.Dropout(DROPOUT)(base(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(features))
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(training, validation_data=validation, epochs=epochs, verbose=0).history
    print(json.dumps({name: [float(value) for value in values] for name, values in history.items()}), flush=True)


def photos(folder: Path, spec: BackboneSpec, *, shuffle: bool) -> tuple[tf.data.Dataset, int]:
    """Return batches of normalized photos and class indices, and the number of classes."""
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(spec.height, spec.width), batch_size=BATCH_SIZE, shuffle=shuffle, seed=SEED
    )
    normalized = dataset.map(
        lambda images, labels: ((images - spec.mean) / spec.std, labels), num_parallel_calls=tf.data.AUTOTUNE
    )
    return normalized.prefetch(tf.data.AUTOTUNE), len(dataset.class_names)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
