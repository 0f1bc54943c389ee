"""The single import of TensorFlow: everything in `edgecnn.training` imports `tf` and `keras` from here.

`tensorflow-model-optimization` needs Keras 2 (`tf_keras`). TensorFlow chooses its version of Keras once per process, by
an environment variable that `edgecnn.training` sets.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from edgecnn.core.errors import EdgecnnError, MissingDependency
from edgecnn.runtime.inference.native_output import native_output_hidden

__all__ = ["keras", "tf"]


@contextmanager
def _never_garbage() -> Iterator[None]:
    """Exclude the objects created in this context from garbage collection: they live until the process ends."""
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if collects:
            gc.enable()


try:
    with native_output_hidden(), _never_garbage():
        import tensorflow as tf
        import tf_keras as keras
except ImportError as error:
    raise MissingDependency(
        f"training needs TensorFlow, which is not installed: pip install 'edgecnn[train]' ({error})"
    ) from None

if tf.keras.Model is not keras.Model:
    raise EdgecnnError(
        "expected TensorFlow to use Keras 2, but this process has loaded it with another Keras; "
        "set TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, or import edgecnn.training.keras first"
    )

# Dropout then uses generators whose state can be saved, so that a resumed training continues exactly as if it had not
# been interrupted.
keras.backend.experimental.enable_tf_random_generator()

# TensorFlow's warnings are about its own history; edgecnn itself reports everything that a user can act on.
tf.get_logger().setLevel("ERROR")
