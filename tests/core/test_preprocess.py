from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydantic import ValidationError

from edgecnn.core.errors import DataError, InputError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import (
    Image,
    Preprocessor,
    PreprocessSpec,
    decode_image,
    plan_resize,
    preprocess,
    to_rgb,
)

RESIZES = ["center_crop", "squash", "letterbox"]


def make_spec(**fields: Any) -> PreprocessSpec:
    return PreprocessSpec(**{"height": 24, "width": 24, "mean": (127.5,) * 3, "std": (127.5,) * 3, **fields})


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


sides = st.integers(1, 3000)
specs = st.builds(
    make_spec,
    height=st.integers(1, 320),
    width=st.integers(1, 320),
    resize=st.sampled_from(RESIZES),
    crop_fraction=st.floats(0.05, 1),
    interpolation=st.sampled_from(["box_linear", "area", "linear"]),
)


# ---- geometry


@given(specs, sides, sides)
@example(make_spec(height=1, width=320), 1, 1)
@example(make_spec(resize="letterbox"), 3000, 1)
def test_regions_are_inside_source_and_target(spec: PreprocessSpec, height: int, width: int) -> None:
    plan = plan_resize(spec, height, width)
    assert 0 <= plan.top <= plan.top + plan.crop_height <= height
    assert 0 <= plan.left <= plan.left + plan.crop_width <= width
    assert 0 <= plan.out_top <= plan.out_top + plan.out_height <= spec.height
    assert 0 <= plan.out_left <= plan.out_left + plan.out_width <= spec.width
    assert min(plan.crop_height, plan.crop_width, plan.box_height, plan.box_width) >= 1
    assert min(plan.out_height, plan.out_width) >= 1


@given(specs, sides, sides)
def test_regions_are_centered(spec: PreprocessSpec, height: int, width: int) -> None:
    plan = plan_resize(spec, height, width)
    assert height - plan.crop_height - 2 * plan.top in (0, 1)
    assert width - plan.crop_width - 2 * plan.left in (0, 1)
    assert spec.height - plan.out_height - 2 * plan.out_top in (0, 1)
    assert spec.width - plan.out_width - 2 * plan.out_left in (0, 1)


@given(specs, sides, sides)
def test_box_factors_are_whole_and_leave_less_than_a_factor_of_two(
    spec: PreprocessSpec, height: int, width: int
) -> None:
    plan = plan_resize(spec, height, width)
    for crop, box, out in (
        (plan.crop_height, plan.box_height, plan.out_height),
        (plan.crop_width, plan.box_width, plan.out_width),
    ):
        assert crop % box == 0
        if spec.interpolation == "box_linear":
            assert box < 2 * out
        else:
            assert box == crop


@given(specs, sides, sides)
def test_center_crop_has_the_aspect_ratio_of_the_target_within_a_pixel(
    spec: PreprocessSpec, height: int, width: int
) -> None:
    plan = plan_resize(spec.model_copy(update={"resize": "center_crop", "interpolation": "area"}), height, width)
    # A side is at least one pixel, so an extreme aspect ratio of the target cannot always be matched.
    assert abs(plan.crop_height - max(1, plan.crop_width * spec.height / spec.width)) <= 1 + spec.height / spec.width
    assert abs(plan.crop_width - max(1, plan.crop_height * spec.width / spec.height)) <= 1 + spec.width / spec.height
    whole = min(height, width * spec.height / spec.width)
    assert plan.crop_height == pytest.approx(max(1, whole * spec.crop_fraction), abs=1)


@given(sides, sides)
def test_letterbox_keeps_the_aspect_ratio_of_the_source_within_a_pixel(height: int, width: int) -> None:
    plan = plan_resize(make_spec(resize="letterbox", height=200, width=320), height, width)
    scale = min(200 / height, 320 / width)
    assert plan.out_height == pytest.approx(max(1, height * scale), abs=0.51)
    assert plan.out_width == pytest.approx(max(1, width * scale), abs=0.51)
    assert plan.out_height == 200 or plan.out_width == 320


@given(specs, sides, sides, st.tuples(*[st.integers(0, 255)] * 3))
@example(make_spec(height=320, width=320), 1, 1, (1, 2, 3))
@example(make_spec(height=1, width=1), 3000, 3000, (254, 255, 0))
def test_output_has_the_exact_size_and_flat_colors_stay_flat(
    spec: PreprocessSpec, height: int, width: int, color: tuple[int, int, int]
) -> None:
    spec = spec.model_copy(update={"mean": tuple(float(value) for value in color)})
    prepared = preprocess(np.full((height, width, 3), color, np.uint8), spec)
    assert prepared.dtype == np.uint8
    assert np.array_equal(prepared, np.full((spec.height, spec.width, 3), color))


# ---- pixels


def box_average(image: Image, factor_y: int, factor_x: int) -> Image:
    """Return the rounded mean of every `factor_y` x `factor_x` box, as OpenCV: half to even, but half up for 2x2."""
    height, width = image.shape[0] // factor_y, image.shape[1] // factor_x
    boxes: NDArray[np.int64] = image.reshape(height, factor_y, width, factor_x, 3).sum(axis=(1, 3), dtype=np.int64)
    # OpenCV multiplies by the reciprocal in float32.
    means: NDArray[Any] = np.rint(boxes.astype(np.float32) * np.float32(1 / (factor_y * factor_x)))
    return ((boxes + 2) >> 2 if (factor_y, factor_x) == (2, 2) else means).astype(np.uint8)


@given(*[st.integers(1, 130)] * 2, *[st.integers(1, 24)] * 2, st.integers(0, 99))
def test_box_linear_is_a_box_average_followed_by_exact_linear(
    height: int, width: int, out_height: int, out_width: int, seed: int
) -> None:
    image = noise(height, width, seed)
    factor_y, factor_x = max(1, height // out_height), max(1, width // out_width)
    top, left = height % factor_y // 2, width % factor_x // 2
    boxed = image[top : top + height // factor_y * factor_y, left : left + width // factor_x * factor_x]
    averaged = cv2.resize(boxed, (boxed.shape[1] // factor_x, boxed.shape[0] // factor_y), interpolation=cv2.INTER_AREA)
    check_is_rounded_mean(averaged, boxed, factor_y, factor_x)
    expected = cv2.resize(averaged, (out_width, out_height), interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.array_equal(preprocess(image, make_spec(resize="squash", height=out_height, width=out_width)), expected)


def check_is_rounded_mean(averaged: Image, boxed: Image, factor_y: int, factor_x: int) -> None:
    """Check that OpenCV rounds the mean of every box to a nearest integer.

    An exact tie may go either way if the reciprocal of the number of pixels is inexact in float32: OpenCV multiplies by
    it, and a fused multiply-add rounds differently from a product followed by a rounding.
    """
    shape = boxed.shape[0] // factor_y, factor_y, boxed.shape[1] // factor_x, factor_x, 3
    boxes: NDArray[np.int64] = boxed.reshape(shape).sum(axis=(1, 3), dtype=np.int64)
    pixels = factor_y * factor_x
    assert np.abs(2 * (averaged.astype(np.int64) * pixels - boxes)).max() <= pixels
    if pixels & (pixels - 1) == 0:
        assert np.array_equal(averaged, box_average(boxed, factor_y, factor_x))


def test_rows_and_columns_outside_whole_boxes_are_dropped_evenly() -> None:
    image = noise(24 * 3 + 2, 24 * 2 + 1)
    assert np.array_equal(preprocess(image, make_spec(resize="squash")), box_average(image[1:-1, :-1], 3, 2))


@given(st.integers(48, 300))
def test_checkerboard_averages_to_gray_from_half_the_size_down(side: int) -> None:
    board = np.repeat((np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    off_gray = np.abs(preprocess(board, make_spec(resize="squash")).astype(int) - 127).max()
    # An odd box contains one pixel more of one color: five of nine.
    assert off_gray <= 255 * 5 / 9 - 127 + 1


def test_checkerboard_does_alias_with_plain_linear() -> None:
    board = np.repeat((np.indices((72, 72)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    assert preprocess(board, make_spec(resize="squash", interpolation="linear"))[0, 0, 0] in (0, 255)


@pytest.mark.parametrize(("name", "flag"), [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)])
def test_area_and_linear_equal_opencv(name: str, flag: int) -> None:
    image = noise(101, 67)
    expected = cv2.resize(image, (24, 24), interpolation=flag)
    assert np.array_equal(preprocess(image, make_spec(resize="squash", interpolation=name)), expected)


def test_image_of_the_target_size_is_unchanged() -> None:
    image = noise(24, 24)
    for resize in RESIZES:
        assert np.array_equal(preprocess(image, make_spec(resize=resize)), image)


def test_center_crop_keeps_only_the_middle() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[25:75, 75:125] = 200
    assert (preprocess(image, make_spec(crop_fraction=0.5)) == 200).all()


def test_letterbox_fills_with_the_mean() -> None:
    spec = make_spec(resize="letterbox", mean=(10.4, 300.0, -5.0))
    prepared = preprocess(np.full((50, 100, 3), 77, np.uint8), spec)
    assert (prepared[6:18] == 77).all()
    assert (np.concatenate([prepared[:6], prepared[18:]]) == (10, 255, 0)).all()


# ---- gray


def luma(color: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the luma by the integer formula that the module states."""
    red, green, blue = (color[..., channel].astype(np.uint32) for channel in range(3))
    return ((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15).astype(np.uint8)[..., None]


def test_gray_equals_the_integer_formula_for_every_color() -> None:
    take_gray = Preprocessor(make_spec(height=256, width=256, mean=(0,), std=(255,)))
    levels = np.arange(256, dtype=np.uint8)
    colors = np.empty((256, 256, 3), np.uint8)
    colors[..., 0], colors[..., 1] = levels[:, None], levels
    for blue in range(256):
        colors[..., 2] = blue
        assert np.array_equal(take_gray(colors), luma(colors))


def test_red_and_blue_have_different_grays() -> None:
    flat = np.zeros((3, 24, 24, 3), np.uint8)
    for channel in range(3):
        flat[channel, ..., channel] = 255
    grays = [preprocess(image, make_spec(mean=(0,), std=(255,))) for image in flat]
    assert [int(gray[0, 0, 0]) for gray in grays] == [76, 150, 29]
    assert all((gray == gray[0, 0]).all() for gray in grays)


@given(specs, st.integers(1, 200), st.integers(1, 200))
def test_gray_is_the_luma_of_the_color_output(spec: PreprocessSpec, height: int, width: int) -> None:
    photo = noise(height, width)
    gray = preprocess(photo, spec.model_copy(update={"mean": (128.0,), "std": (1.0,)}))
    assert gray.shape == (spec.height, spec.width, 1)
    filled = spec.model_copy(update={"mean": (128.0,) * 3})
    assert np.array_equal(gray, luma(preprocess(photo, filled)))


def test_gray_picture_is_unchanged() -> None:
    photo = to_rgb(noise(24, 24)[..., 0])
    assert np.array_equal(preprocess(photo, make_spec(mean=(0,), std=(255,))), photo[..., :1])


@pytest.mark.parametrize("resize", RESIZES)
def test_gray_is_written_to_the_given_array_without_allocation(resize: str) -> None:
    frames = [noise(480, 640, seed) for seed in range(4)]
    spec = make_spec(height=200, width=200, resize=resize, mean=(128,), std=(128,))
    prepare, out = Preprocessor(spec), np.empty((200, 200, 1), np.uint8)
    prepare(frames[0], out)
    tracemalloc.start()
    for frame in frames:
        assert prepare(frame, out) is out
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(out, preprocess(frames[-1], spec))
    assert peak_bytes < 200 * 200


@pytest.mark.parametrize("resize", RESIZES)
def test_reused_buffers_keep_nothing_of_the_previous_frame(resize: str) -> None:
    spec = make_spec(resize=resize)
    shared = Preprocessor(spec)
    out = np.empty((24, 24, 3), np.uint8)
    for seed, (height, width) in enumerate([(480, 640), (480, 640), (30, 300), (24, 24), (1, 1), (480, 640)]):
        image = noise(height, width, seed)
        assert shared(image, out) is out
        assert np.array_equal(out, preprocess(image, spec))


def test_source_is_unchanged_and_need_not_be_contiguous() -> None:
    wide = noise(96, 200)
    for view in (wide[:, 20:130], wide[::-1, ::2], wide[:, :, ::-1], np.asfortranarray(wide)):
        before = view.copy()
        for resize in RESIZES:
            expected = preprocess(np.ascontiguousarray(view), make_spec(resize=resize))
            assert np.array_equal(preprocess(view, make_spec(resize=resize)), expected)
        assert np.array_equal(view, before)


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), noise(0, 8)],
)
def test_array_that_is_not_an_image_is_refused(image: NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"expected an image of uint8 \(height, width, 3\), got"):
        preprocess(image, make_spec())


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 0},
        {"crop_fraction": 0},
        {"crop_fraction": 1.01},
        {"std": (1, 1, 0)},
        {"mean": (0, 0)},
        {"mean": (0, 0), "std": (1, 1)},
        {"mean": (0,)},
        {"std": (1,)},
        {"mean": (), "std": ()},
        {"mean": (float("nan"), 0, 0)},
        {"resize": "stretch"},
        {"color": "bgr"},
    ],
)
def test_invalid_spec_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_spec(**fields)


# ---- decoding


def encoded(image: Pillow.Image, file_format: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_channels_are_decoded_in_rgb_order(file_format: str) -> None:
    decoded = decode_image(encoded(Pillow.new("RGB", (16, 8), (250, 5, 5)), file_format))
    assert decoded is not None
    assert decoded.shape == (8, 16, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - (250, 5, 5)).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, file_format: str, tmp_path: Path) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[16:, 24:] = (255, 255, 255), (255, 0, 0)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    # Without subsampling the colors of the four quarters do not mix.
    options = {"subsampling": 0} if file_format == "JPEG" else {"lossless": True} if file_format == "WEBP" else {}
    path.write_bytes(encoded(Pillow.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif, **options))
    image = read_image(path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() <= 8


def test_high_byte_of_sixteen_bits_is_kept() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = decode_image(cv2.imencode(".png", levels)[1].tobytes())
    assert decoded is not None
    expected = np.repeat((levels >> 8)[:, :, None], 3, axis=2)
    assert np.array_equal(decoded, expected)
    assert np.array_equal(to_rgb(levels), expected)


def test_grayscale_becomes_rgb_and_transparency_is_dropped() -> None:
    gray = noise(5, 7)[:, :, 0]
    rgba = np.dstack([noise(5, 7), np.zeros((5, 7), np.uint8)])
    for array, expected in (
        (gray, np.dstack([gray] * 3)),
        (gray[:, :, None], np.dstack([gray] * 3)),
        (rgba, rgba[:, :, :3]),
        (rgba[:, ::2], rgba[:, ::2, :3]),
    ):
        assert np.array_equal(to_rgb(array), expected)
        assert to_rgb(array).flags.c_contiguous
        decoded = decode_image(encoded(Pillow.fromarray(np.ascontiguousarray(array.squeeze()))))
        assert decoded is not None
        assert np.array_equal(decoded, expected)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)]
)
def test_array_that_cannot_be_converted_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(InputError, match="expected an image of"):
        to_rgb(array)


def png_with_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"not an image", png_with_header(100_000, 100_000), png_with_header(9, 9)],
    ids=["empty", "zero", "text", "too large", "too short"],
)
def test_invalid_image_decodes_to_none_and_reading_it_raises(content: bytes, tmp_path: Path) -> None:
    assert decode_image(content) is None
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot decode .*photo\.png") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@given(st.floats(0, 0.99))
def test_truncated_jpeg_is_not_an_image(part: float) -> None:
    whole = encoded(Pillow.fromarray(noise(40, 40)), "JPEG")
    assert decode_image(whole[: int(part * len(whole))]) is None


def test_error_names_the_missing_file_or_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such image: .*absent\.jpg"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        read_image(tmp_path)
