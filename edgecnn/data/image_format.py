"""Detection of an image file's format, and of truncated files, from their content."""

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
"""Extensions of each format that `image_format` recognizes, the usual one first."""

HEAD_BYTES = 32
"""Number of bytes at the start of a file that `image_format` needs."""

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
"""Bytes that follow a 0xFF in a JPEG without starting a segment: an escaped byte of the scan, a restart, the start of
the image."""


def image_format(content: bytes) -> str | None:
    """Return the format that the start of a file announces.

    Args:
        content: At least the first `HEAD_BYTES` bytes of the file, or all of a shorter one.

    Returns:
        A key of `SUFFIXES`; None if the file is not an image in one of these formats.
    """
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    # The two letters alone are not enough: many texts start with them.
    if content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if content[4:8] == b"ftyp":
        return next((name for name, brands in _BRANDS.items() if content[8:12] in brands), None)
    return None


def is_truncated(content: bytes) -> bool:
    """Return True if a JPEG, PNG, WebP or BMP file ends before its picture does.

    A decoder may silently fill the missing part with gray. Data after the end of the picture, which phones append, is
    allowed.

    Args:
        content: The whole file.

    Returns:
        False for a complete file and for any other format.
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
    """Walk the segments (ITU-T T.81, annex B) to the end marker.

    Searching for its two bytes is not enough, because a preview in the metadata has an end marker of its own.
    """
    index = 2
    while True:
        index = content.find(b"\xff", index)
        if index < 0 or index + 2 > len(content):
            return False
        marker = content[index + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF:  # A fill byte.
            index += 1
        elif marker in _WITHOUT_LENGTH:
            index += 2
        else:
            index += 2 + int.from_bytes(content[index + 2 : index + 4], "big")


def _png_ends(content: bytes) -> bool:
    """Walk the chunks (PNG specification, section 5) to `IEND`."""
    index = 8
    while index + 12 <= len(content):
        kind_at = index + 4
        index += 12 + int.from_bytes(content[index : index + 4], "big")
        if content[kind_at : kind_at + 4] == b"IEND":
            return index <= len(content)
    return False
