"""Take the screenshots of the live page in docs/images, from a real run.

    edgecnn export --pretrained efficientnet_lite0 --int8 --calibration PHOTOS --out imagenet-int8.tflite
    PYTHONPATH=. python tests/runtime/web/screenshots.py imagenet-int8.tflite docs/images

The camera is a Motion-JPEG server on loopback that pans over two photos of scikit-image, both CC0: the cat Chelsea by
Stefan van der Walt, and a cup of coffee by Rachel Michetti.
"""

from __future__ import annotations

import argparse
import math
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from skimage import data

from edgecnn.core.preprocess import Image
from edgecnn.core.settings.decision import DecisionSettings
from edgecnn.runtime.decision import decision_rule
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.sources import open_surviving
from edgecnn.runtime.web import open_page
from tests.runtime.sources.loopback_camera import LoopbackCamera
from tests.runtime.web.chromium import Chromium, View

_HEIGHT_PX, _WIDTH_PX = 480, 640
_PER_SECOND = 25
_TURN_S = 14
"""Time for which a photo is shown."""
_HISTORY_S = 125
_COLORS = 160
_OWN_COLORS = """["ground", "surface", "line", "text", "dim", "track", "accent", "second", "good", "live"].map(
  (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()).concat("#0b62c4")"""


class PhotoCamera(LoopbackCamera):
    """Camera that shows two photos in turn, each moving slightly like a handheld camera."""

    def __init__(self) -> None:
        self._photos = [_covering(photo) for photo in (data.chelsea(), data.coffee())]
        super().__init__(per_second=_PER_SECOND)

    def _stream(self, client: BaseHTTPRequestHandler) -> None:
        try:
            while not self.dead.is_set():
                self._send(client, self._jpeg(self.number))
                time.sleep(self.period_s)
        except OSError:
            return

    def _jpeg(self, number: int) -> bytes:
        elapsed_s = number / _PER_SECOND
        photo = self._photos[int(elapsed_s / _TURN_S) % len(self._photos)]
        top, left = (round(20 + 18 * math.sin(elapsed_s * speed)) for speed in (0.9, 0.55))
        view = photo[top : top + _HEIGHT_PX, left : left + _WIDTH_PX]
        return cv2.imencode(".jpg", view[..., ::-1])[1].tobytes()


def _covering(photo: Image) -> Image:
    """Scale a photo so that a view can move over it."""
    height, width = photo.shape[:2]
    scale = max((_HEIGHT_PX + 40) / height, (_WIDTH_PX + 40) / width)
    return cv2.resize(photo, None, fx=scale + 0.01, fy=scale + 0.01, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def take(model: Path, folder: Path, history_s: float) -> None:
    """Run the classifier for `history_s`, then write both screenshots."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier = Classifier(load_model(model), top_k=5)
    rule = decision_rule(DecisionSettings(enter_score=0.3), classifier.labels)
    with ExitStack() as owned:
        camera = owned.enter_context(PhotoCamera())
        source = owned.enter_context(open_surviving(camera.address))
        page = owned.enter_context(
            open_page("0", token=None, cameras=[source], labels=classifier.labels, model=model.stem, outputs=list)
        )
        stop = threading.Event()
        run = threading.Thread(
            target=run_loop,
            args=(classifier, [source], [page], LoopSettings(rule=rule)),
            kwargs={"event_sinks": [page], "stop": stop},
        )
        run.start()
        owned.callback(run.join)
        owned.callback(stop.set)
        browser = owned.enter_context(Chromium())
        tabs = {
            "live-page.png": browser.open(page.url, View(1280, 800)),
            "live-page-phone.png": browser.open(page.url, View(390, 844, scale=2, phone=True), dark=True),
        }
        time.sleep(history_s)
        for name, tab in tabs.items():
            tab.bring_to_front()
            tab.command("Emulation.setScrollbarsHidden", hidden=True)
            # Wait until nothing is changing.
            tab.wait_until("/for [4-9]\\D/.test(document.querySelector('.since').textContent)")
            tab.wait_until("document.querySelector('.badge').textContent === 'Live'")
            tab.screenshot(folder / name)
        stop.set()
        run.join()
        for name, tab in tabs.items():
            _shrink(folder / name, tab.evaluate(_OWN_COLORS))


def _shrink(path: Path, own_colors: Sequence[str]) -> None:
    """Reduce a screenshot to `_COLORS` colors, a quarter of its size; the colors of the page stay exact."""
    with PIL.Image.open(path) as opened:
        screenshot = opened.convert("RGB")
    common = screenshot.quantize(_COLORS - len(own_colors)).getpalette() or []
    own = [int(color[index : index + 2], 16) for color in own_colors for index in (1, 3, 5)]
    palette = np.array(own + common).reshape(-1, 3)
    colors, inverse = np.unique(np.asarray(screenshot).reshape(-1, 3), axis=0, return_inverse=True)
    nearest = np.array([np.square(palette - color).sum(1).argmin() for color in colors.astype(int)], np.uint8)
    reduced = PIL.Image.fromarray(nearest[inverse.reshape(screenshot.height, screenshot.width)], "P")
    reduced.putpalette(palette.ravel().tolist())
    reduced.save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--history", type=float, default=_HISTORY_S, help="seconds to run before taking the screenshots"
    )
    arguments = parser.parse_args()
    take(arguments.model, arguments.folder, arguments.history)
