"""Image files made here for tests: scenes, odd modes, hostile headers. All of them bytes."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
NASTY = SHARED / "data" / "nasty"
needs_nasty = pytest.mark.skipif(not NASTY.is_dir(), reason=f"no sample images under {NASTY}; DARKROOM_SHARED names it")

SIDE = 65_535


def scene(height: int = 120, width: int = 160) -> np.ndarray:
    """uint8 (height, width, 3): a smooth picture without any symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x // max(1, width - 1), 255 * y // max(1, height - 1), (x * 3 + y * 7) % 256], -1).astype(
        np.uint8
    )


def blocks(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3) of flat 8-pixel blocks, which JPEG keeps almost exactly."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return small.repeat(8, 0).repeat(8, 1)[:height, :width]


def file_of(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width: int, height: int, rows: int | None = None) -> bytes:
    """RGB, all black, packed as well as deflate can; ``rows`` of them are really there."""
    packer = zlib.compressobj(9)
    line = bytes(1 + 3 * width)
    body = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = png_chunk(b"IHDR", header), png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_of_text(size_bytes: int) -> bytes:
    """A 1x1 picture whose comment unpacks to ``size_bytes``."""
    data = file_of(np.zeros((1, 1, 3), np.uint8), "PNG")
    return data[:33] + png_chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(size_bytes), 9)) + data[33:]


def huge_headers() -> dict[str, bytes]:
    """Files of a few hundred bytes that claim the largest picture their format can."""
    jpeg = file_of(scene(8, 8), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    webp = bytearray(file_of(scene(8, 8), "WEBP", lossless=True))
    webp[21:25] = (0x3FFF | 0x3FFF << 14).to_bytes(4, "little")
    bmp = bytearray(file_of(scene(8, 8), "BMP"))
    bmp[18:26] = struct.pack("<ii", SIDE, SIDE)
    gif = bytearray(file_of(scene(8, 8), "GIF"))
    gif[6:10] = struct.pack("<HH", SIDE, SIDE)
    return {
        "jpeg": jpeg[:frame] + struct.pack(">HH", SIDE, SIDE) + jpeg[frame + 4 :],
        "png": png_of_zeros(SIDE, SIDE, rows=1),
        "long png": png_of_zeros(2**31 - 1, 1, rows=0),
        "webp": bytes(webp),
        "bmp": bytes(bmp),
        "gif": bytes(gif),
        "tiff": _huge_tiff(),
        "long bmp": _bmp_of_one_long_row(),
    }


def _huge_tiff() -> bytes:
    entries = [(256, 4, SIDE), (257, 4, SIDE), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8), (278, 4, SIDE)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in [*entries, (279, 4, 100)])
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries) + 1) + body + bytes(4)


def _bmp_of_one_long_row() -> bytes:
    """Run-length coded: one jump of 255 rows would fill 255 times the width."""
    width = 40_000_000
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 8, 1, 8, 0, 0, 256, 0)
    palette = bytes(1024)
    body = b"\x00\x02\xff\xff" * 2
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def progressive_bomb(side: int, scans: int) -> bytes:
    """A small file of many scans, each of which makes a decoder walk over the whole gray picture."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    blocks = (-(-side // 8)) ** 2
    one_code = bytes([1] + [0] * 15)
    parts = [b"\xff\xd8", segment(0xDB, b"\0" + bytes([1] * 64))]
    parts.append(segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])))
    parts += [segment(0xC4, b"\x00" + one_code + b"\0"), segment(0xC4, b"\x10" + one_code + b"\xe0")]
    parts.append(segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(-(-blocks // 8)))
    run = bytes(-(-15 * -(-blocks // 16384) // 8))  # "the next 16384 blocks are empty", as often as it takes
    parts += [segment(0xDA, bytes([1, 1, 0, k % 63 + 1, k % 63 + 1, 0])) + run for k in range(scans)]
    return b"".join(parts) + b"\xff\xd9"
