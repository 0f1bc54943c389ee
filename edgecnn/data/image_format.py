"""What an image file is by its content: its format, and whether its end is there."""

from __future__ import annotations

SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "JPEG 2000": (".jp2",),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif"),
}
"""The extensions of each format that `image_format` tells; the usual one first."""

HEAD_BYTES = 32
"""So much of a file `image_format` needs."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_BRANDS = {"AVIF": (b"avif", b"avis"), "HEIC": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes of the headers that follow a bitmap's first 14 bytes."""

_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""What follows a 0xFF in a JPEG and begins no segment: an escaped byte of the scan, a restart, the image's start."""


def image_format(content: bytes) -> str | None:
    """The format that a file's first `HEAD_BYTES` announce, a key of `SUFFIXES`; None for anything else."""
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    # Two letters alone would make a bitmap of many a text.
    if content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if content[4:8] == b"ftyp":
        return next((name for name, brands in _BRANDS.items() if content[8:12] in brands), None)
    return None


def is_cut(content: bytes) -> bool:
    """Whether a JPEG, PNG, WebP or BMP file ends before its picture does; False for what is none of them.

    A decoder may fill what is missing with gray and say nothing. What comes after the end, as phones append, is no cut.
    """
    match image_format(content):
        case "JPEG":
            return not _jpeg_ends(content)
        case "PNG":
            return not _png_ends(content)
        case "WebP":
            return len(content) < 8 + int.from_bytes(content[4:8], "little")
        case "BMP":
            return len(content) < int.from_bytes(content[2:6], "little")
    return False


def _jpeg_ends(content: bytes) -> bool:
    """Walks the segments (ITU-T T.81, annex B) to the end marker.

    To look for its two bytes would not do: a preview in the metadata has an end marker of its own.
    """
    place = 2
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 2 > len(content):
            return False
        marker = content[place + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF:  # A fill byte.
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")


def _png_ends(content: bytes) -> bool:
    """Walks the chunks (PNG specification, section 5) to `IEND`."""
    place = 8
    while place + 12 <= len(content):
        kind_at = place + 4
        place += 12 + int.from_bytes(content[place : place + 4], "big")
        if content[kind_at : kind_at + 4] == b"IEND":
            return place <= len(content)
    return False
