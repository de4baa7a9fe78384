"""Makes tests/fixtures/jpeg.zip: small JPEGs of every kind that Pillow writes, and the pixels that Pillow reads from
them (as raw RGB bytes, or grey ones). The test of crates/methods/src/data/jpeg.rs asks for the same, to the last bit.

    python scripts/export_jpegs.py          needs pillow, numpy
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, features

HERE = Path(__file__).resolve().parent
FIXTURE = HERE.parent / "tests" / "fixtures" / "jpeg.zip"



def picture(seed, width, height, channels):
    """Waves, an edge and noise: smooth parts, sharp ones and what compression cannot keep."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, phase = draw.uniform(0.05, 0.6, 2).tolist() + [draw.uniform(0, 6)]
        plane = 127 + 90 * np.sin(a * x + b * y + phase) + 40 * (x + y > (width + height) / 2)
        planes.append(plane + draw.normal(0, 12, plane.shape))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def encoded(image, **settings):
    file = io.BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


def samples():
    """Names and files."""
    seed = 0
    for width, height in [(24, 16), (37, 29), (9, 50), (1, 1), (17, 2)]:
        for subsampling in (0, 1, 2):
            for quality, progressive in [(30, False), (75, True), (95, False)]:
                seed += 1
                image = Image.fromarray(picture(seed, width, height, 3))
                settings = dict(quality=quality, progressive=progressive, subsampling=subsampling)
                name = f"{width}x{height}-{['444', '422', '420'][subsampling]}-q{quality}"
                yield name, encoded(image, **settings)
        seed += 1
        grey = Image.fromarray(picture(seed, width, height, 1)[..., 0])
        yield f"{width}x{height}-grey", encoded(grey, quality=80)
    colours = picture(seed + 1, 33, 31, 4)
    # Pillow writes inks inverted, with Adobe's marker, and without it they are what they are.
    inks = encoded(Image.fromarray(colours, "CMYK"), quality=85)
    yield "33x31-inks", inks
    at = inks.find(b"\xff\xee")
    if at > 0:
        length = int.from_bytes(inks[at + 2 : at + 4], "big")
        yield "33x31-inks-plain", inks[:at] + inks[at + 2 + length :]
    image = Image.fromarray(picture(seed + 2, 40, 40, 3))
    yield "40x40-restart", encoded(image, quality=75, restart_marker_blocks=2)
    yield "40x40-rgb", encoded(image, quality=75, keep_rgb=True)
    yield "40x40-exif", encoded(image, quality=75, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")


def main():
    with zipfile.ZipFile(FIXTURE, "w", zipfile.ZIP_DEFLATED) as archive:
        def add(name, content):
            # The time of writing is no part of the fixture.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)

        add("about.txt", f"Pillow with libjpeg-turbo {features.version('libjpeg_turbo')}\n")
        for name, file in samples():
            image = Image.open(io.BytesIO(file))
            image = image if image.mode == "L" else image.convert("RGB")
            add(f"{name}.jpg", file)
            add(f"{name}.raw", image.tobytes())


if __name__ == "__main__":
    main()
