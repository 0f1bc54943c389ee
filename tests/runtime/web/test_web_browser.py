"""The live page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sources import Backoff, FrameSource, SourceOptions, open_source, open_surviving
from edgecnn.runtime.web import LivePage, open_page
from tests.runtime.web import chromium
from tests.runtime.web.chromium import Chromium, Tab, View
from tests.runtime.web.live_run import COLORS, ColorCamera, color_classifier, live_run, wait_until

pytestmark = pytest.mark.skipif(not chromium.PROGRAM, reason="chromium is not installed: apt-get install chromium")

PATTERN = "pattern:320x240@30"
DESKTOP = View(1280, 800)
PHONE = View(390, 844, scale=2, phone=True)

# The number in the blocks along the lower edge of the test pattern.
NUMBER = """(() => {
  const { width, height } = document.querySelector("canvas");
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(document.querySelector("canvas"), 0, 0);
  const pixels = copy.getImageData(0, height - 9, width, 1).data;
  let number = 0;
  for (let bit = 0; bit < 32; bit++) number += (pixels[4 * (bit * 10 + 5) + 1] > 127) * 2 ** bit;
  return number;
})()"""

# Contrast of each kind of text on the page with its background, as defined by WCAG.
CONTRASTS = """(() => {
  const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const parsed = (color) => color.match(/[0-9.]+/g).map(Number);
  const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const ground = (element) => {
    const color = parsed(getComputedStyle(element).backgroundColor);
    return color.length === 3 || !element.parentElement ? color : ground(element.parentElement);
  };
  const kinds = ["h1", "#model", "#pause", "h2", ".state", ".label .text", ".label .score", ".since", ".bars li",
    ".figures dt", ".figures dd", ".key.age", ".key.inference", ".events h3", "#about dt", "#outputs em", "nav a"];
  return Object.fromEntries(kinds.map((kind) => {
    const element = document.querySelector(kind);
    const [one, other] = [luminance(parsed(getComputedStyle(element).color)), luminance(ground(element))];
    return [kind, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)];
  }));
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return color_classifier(tmp_path)


@contextmanager
def shown(
    classifier: Classifier,
    sources: Sequence[FrameSource],
    *,
    address: str = "0",
    outputs: Sequence[OutputStatus] = (),
    decides: bool = True,
) -> Iterator[LivePage]:
    with (
        open_page(
            address,
            token=None,
            cameras=sources,
            labels=classifier.labels,
            model="colors-int8",
            outputs=lambda: outputs,
        ) as page,
        live_run(classifier, sources, page, decides=decides),
    ):
        yield page


def is_live(tab: Tab, camera: int = 0) -> None:
    tab.wait_until(f"document.querySelectorAll('.badge')[{camera}]?.textContent === 'Live'")


def test_the_page_shows_the_picture_the_label_the_scores_and_the_history(
    browser: Chromium, classifier: Classifier
) -> None:
    with open_source(PATTERN) as source, shown(classifier, [source], decides=False) as page:
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        assert tab.evaluate("document.querySelector('.label .text').textContent") in COLORS
        assert tab.evaluate("document.querySelector('h2').textContent") == PATTERN
        assert tab.evaluate("document.querySelector('.state').textContent") == "Connected"
        first = tab.wait_until(NUMBER)
        tab.wait_until(NUMBER, lambda number: number > first + 10)
        rows = "[...document.querySelectorAll('.bars li')]"
        assert set(tab.evaluate(f"{rows}.map((row) => row.firstElementChild.textContent)")) == set(COLORS)
        assert all(
            0 < float(share) < 1
            for share in tab.evaluate(f"{rows}.map((row) => row.style.getPropertyValue('--share'))")
        )
        for line in ("age", "inference"):
            tab.wait_until(f"document.querySelector('.history path.{line}').getAttribute('d').split('L').length > 3")
        figures = tab.evaluate("document.querySelector('.figures').innerText").split("\n")
        assert float(figures[figures.index("Frames/s") + 1]) > 0 and figures[figures.index("Reconnects") + 1] == "0"
        assert tab.evaluate("document.querySelector('.key .worst').textContent").endswith("\u202fms")
        assert "2\u202fmin ago" in tab.evaluate("document.querySelector('.history svg').textContent")
        assert tab.evaluate("document.querySelector('.events').hidden")
        assert tab.evaluate("document.querySelector('#model').textContent") == "colors-int8"
        tab.wait_until("document.querySelector('#announcement').textContent", lambda shown: shown in COLORS)
        assert tab.complaints == []


@pytest.mark.parametrize("width", [390, 360])
def test_the_page_fits_on_a_phone_and_its_button_can_be_tapped(
    browser: Chromium, classifier: Classifier, width: int
) -> None:
    broken = OutputStatus("mqtt://" + "broker" * 12, 1, 2, 3, "no route to the broker; check the network", failing=True)
    with open_source(PATTERN) as source, shown(classifier, [source], outputs=[broken]) as page:
        tab = browser.open(page.url, PHONE._replace(width=width))
        is_live(tab)
        content, view = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert content <= view
        assert tab.evaluate("document.querySelector('#pause').getBoundingClientRect().height") >= 44
        for part in ("canvas", ".label .text", ".label .score", "h2", ".state", "#pause"):
            box = tab.evaluate(f"document.querySelector({part!r}).getBoundingClientRect().toJSON()")
            assert box["width"] > 0 and box["left"] >= 0 and box["right"] <= width, part
            assert box["bottom"] <= PHONE.height, part
        assert "3 failed" in tab.evaluate("document.querySelector('#outputs').innerText")
        assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable_in_light_and_dark_mode(browser: Chromium, classifier: Classifier, dark: bool) -> None:
    broken = OutputStatus("log", 1, 2, 3, "the disk is full; free some space", failing=True)
    with open_source(PATTERN) as source, shown(classifier, [source], outputs=[broken]) as page:
        tab = browser.open(page.url, DESKTOP, dark=dark)
        is_live(tab)
        contrasts = tab.evaluate(CONTRASTS)
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 100) is dark


def test_decisions_are_shown_with_their_events_and_unknown_looks_different(
    browser: Chromium, classifier: Classifier
) -> None:
    label = "document.querySelector('.label .text')?.textContent"
    with ColorCamera() as camera, open_source(camera.address) as source, shown(classifier, [source]) as page:
        tab = browser.open(page.url, DESKTOP)
        tab.wait_until(label, lambda shown: shown == "red")
        assert tab.evaluate("document.querySelector('.bars .current').innerText").startswith("red")
        assert not tab.evaluate("document.querySelector('.label').classList.contains('unknown')")
        camera.rgb = (60, 60, 60)
        tab.wait_until(label, lambda shown: shown == "unknown")
        assert tab.evaluate("document.querySelector('.label').classList.contains('unknown')")
        assert tab.evaluate("document.querySelector('.bars .current')") is None
        events = tab.wait_until("document.querySelector('.events ol').innerText", lambda text: "unknown" in text)
        assert ["red" in events, "entered" in events, "left after" in events] == [True] * 3
        assert tab.complaints == []


def test_a_lost_camera_is_never_shown_as_live(browser: Chromium, classifier: Classifier) -> None:
    with (
        ColorCamera() as camera,
        open_surviving(camera.address, SourceOptions(stall_timeout_s=1), backoff=Backoff(0.05, 0.2)) as source,
        shown(classifier, [source]) as page,
    ):
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        assert not tab.evaluate("document.querySelector('.camera').classList.contains('stale')")
        camera.die()
        tab.wait_until("document.querySelector('.veil .word').textContent", lambda word: word == "Reconnecting")
        assert tab.evaluate("document.querySelector('.badge').textContent") == ""
        assert tab.evaluate("document.querySelector('.state').textContent") == "Reconnecting"
        assert "brightness" in tab.evaluate("getComputedStyle(document.querySelector('canvas')).filter")
        tab.wait_until("document.querySelector('.veil .reason').textContent", lambda reason: camera.address in reason)
        tab.wait_until("document.querySelector('.since').textContent", lambda since: since.endswith("ago"))
        camera.come_back()
        is_live(tab)
        assert tab.evaluate("getComputedStyle(document.querySelector('canvas')).filter") == "none"
        assert tab.complaints == []


def test_the_age_of_an_outdated_picture_is_shown(browser: Chromium, classifier: Classifier) -> None:
    patient = SourceOptions(stall_timeout_s=100)
    with (
        ColorCamera() as camera,
        open_source(camera.address, patient) as source,
        shown(classifier, [source]) as page,
    ):
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        camera.stalled.set()
        tab.wait_until("document.querySelector('.veil .word').textContent", lambda word: word.endswith("s old"))
        tab.wait_until("document.querySelector('.state').textContent", lambda state: state == "No results")
        assert tab.complaints == []


def test_a_page_that_has_lost_its_connection_says_so_and_reconnects(browser: Chromium, classifier: Classifier) -> None:
    banner = "document.querySelector('#banner')"
    with open_source(PATTERN) as source, open_source("pattern:320x240@20") as other:
        with shown(classifier, [source]) as page:
            tab = browser.open(page.url, DESKTOP)
            is_live(tab)
            assert tab.evaluate(f"{banner}.hidden")
            assert tab.complaints == []
        tab.wait_until(f"!{banner}.hidden")
        assert tab.evaluate(f"{banner}.innerText").startswith("Connection to edgecnn lost")
        tab.wait_until("document.querySelector('.veil .word').textContent", lambda word: word == "Connection lost")
        assert tab.evaluate("document.querySelector('.badge').textContent") == ""
        with shown(classifier, [other], address=str(urlsplit(page.url).port)):
            tab.wait_until(f"{banner}.hidden")
            is_live(tab)
            assert tab.evaluate("document.querySelector('h2').textContent") == "pattern:320x240@20"


def test_labels_are_never_interpreted_as_html(browser: Chromium, tmp_path: Path) -> None:
    hostile = ("<img src=x onerror=alert(1)>", "</span><script>alert(2)</script>", "&lt;b&gt; \u202e ' \" `")
    classifier = color_classifier(tmp_path, hostile)
    with ColorCamera() as camera, open_source(camera.address) as source, shown(classifier, [source]) as page:
        tab = browser.open(page.url, DESKTOP)
        tab.wait_until("document.querySelector('.label .text')?.textContent", lambda shown: shown == hostile[0])
        tab.wait_until("document.querySelector('.events li span')?.textContent", lambda shown: shown == hostile[0])
        assert set(
            tab.evaluate("[...document.querySelectorAll('.bars span:first-child')].map((e) => e.textContent)")
        ) == {*hostile}
        assert tab.evaluate("document.querySelectorAll('main img, main script').length") == 0
        assert tab.complaints == []


def test_paused_pictures_are_not_requested(browser: Chromium, classifier: Classifier) -> None:
    with open_source(PATTERN) as source, shown(classifier, [source]) as page:
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        tab.evaluate("document.querySelector('#pause').click()")
        assert tab.evaluate("document.querySelector('.veil .word').textContent") == "Paused"
        assert tab.evaluate("document.querySelector('#pause').getAttribute('aria-pressed')") == "true"
        number = tab.evaluate(NUMBER)
        frames = tab.evaluate("document.querySelector('.figures').innerText")
        tab.wait_until("document.querySelector('.figures').innerText", lambda now: now != frames)
        assert tab.evaluate(NUMBER) == number
        tab.evaluate("document.querySelector('#pause').click()")
        is_live(tab)
        tab.wait_until(NUMBER, lambda current: current > number)
        assert tab.complaints == []


def test_a_hidden_page_closes_its_connections(browser: Chromium, classifier: Classifier) -> None:
    with open_source(PATTERN) as source, shown(classifier, [source]) as page:
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        browser.open("about:blank", DESKTOP)
        tab.wait_until("document.hidden")
        wait_until(lambda: not page._server._server.server_state.connections, "the page to disconnect")
        assert tab.evaluate("document.querySelector('#banner').hidden")
        tab.bring_to_front()
        is_live(tab)
        assert tab.complaints == []


def test_several_cameras_are_shown_side_by_side(browser: Chromium, classifier: Classifier) -> None:
    names = [f"pattern:320x240@{fps}" for fps in (10, 11, 12)]
    with ExitStack() as owned:
        sources = [owned.enter_context(open_source(name)) for name in names]
        page = owned.enter_context(shown(classifier, sources))
        tab = browser.open(page.url, DESKTOP)
        for camera in range(len(names)):
            is_live(tab, camera)
        assert tab.evaluate("[...document.querySelectorAll('h2')].map((name) => name.textContent)") == names
        tops = tab.evaluate("[...document.querySelectorAll('.camera')].map((card) => card.getBoundingClientRect().top)")
        assert len(set(tops)) == 1
        assert tab.complaints == []


def test_the_printed_address_opens_the_page_for_others_and_hides_the_token(
    browser: Chromium, classifier: Classifier
) -> None:
    with open_source(PATTERN) as source, shown(classifier, [source], address=":0") as page:
        if urlsplit(page.url).hostname == "127.0.0.1":
            pytest.skip("this machine has no address but its loopback")
        tab = browser.open(page.url, DESKTOP)
        is_live(tab)
        assert tab.evaluate("location.href") == page.url.split("?")[0]
        assert tab.evaluate("document.cookie") == ""
        assert tab.complaints == []


def test_the_token_can_be_typed_in(browser: Chromium, classifier: Classifier) -> None:
    with open_source(PATTERN) as source, shown(classifier, [source], address=":0") as page:
        parts = urlsplit(page.url)
        if parts.hostname == "127.0.0.1":
            pytest.skip("this machine has no address but its loopback")
        tab = browser.open(f"http://{parts.netloc}/", PHONE)
        tab.wait_until("document.querySelector('input[name=token]')?.type === 'password'")
        token = parts.query.removeprefix("token=")
        tab.evaluate(f"document.querySelector('input').value = '{token}'; document.forms[0].submit()")
        is_live(tab)
        assert tab.evaluate("location.search") == ""
