"""Classification with MediaPipe's own `ImageClassifier`, for a Python with mediapipe and without edgecnn.

`mediapipe_top1.py MODEL IMAGE ...` prints a JSON line for each image: its path, the best label and its score.
"""

from __future__ import annotations

import json
import sys

import cv2
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision


def main(model: str, images: list[str]) -> None:
    """Print the results."""
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for path in images:
            pixels = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
            best = classifier.classify(image).classifications[0].categories[0]
            print(json.dumps({"path": path, "label": best.category_name, "score": best.score}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
