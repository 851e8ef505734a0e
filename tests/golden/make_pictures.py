"""Writes pictures/: small files of many kinds, what Pillow reads from them, and settings as AUTOMATIC1111's
web UI (modules/images.py, save_image_with_geninfo) writes them, by the package piexif that it uses.

    python tests/golden/make_pictures.py        (numpy, pillow 13.0, piexif 1.1.3)
"""
import json, os, struct, zlib
import numpy as np
import piexif, piexif.helper
from PIL import Image, ImageOps, PngImagePlugin

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
WIDTH, HEIGHT = 12, 7
SETTINGS = "ein Apfel, 苹果 🍎\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512"
files = {}


def smooth(channels):
    """Smooth colours, so that JPEG changes little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    planes = [20 + 15 * x + 4 * y, 230 - 12 * x - 6 * y, 60 + 3 * x + 18 * y, 255 - 20 * x]
    return np.clip(np.stack(planes[:channels], -1), 0, 255).astype(np.uint8)


def keep(name, expected, settings=None):
    """Notes what a file holds: an RGB image, the settings."""
    expected = np.asarray(expected, np.uint8)
    files[name] = {"width": expected.shape[1], "height": expected.shape[0], "rgb": expected.reshape(-1).tolist(), "settings": settings}


def over_white(image):
    """Composited by Pillow, as the web UI's images.flatten does."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


def path(name):
    return os.path.join(OUT, name)


os.makedirs(OUT, exist_ok=True)
rgb, rgba = Image.fromarray(smooth(3)), Image.fromarray(smooth(4))
grey = Image.fromarray(smooth(1)[..., 0])

# Colour types of PNG.
for name, image in [("rgb", rgb), ("rgba", rgba), ("grey", grey), ("grey-alpha", rgba.convert("LA")), ("one-bit", grey.convert("1"))]:
    image.save(path(name + ".png"))
    keep(name + ".png", over_white(image))
palette = rgb.quantize(16)
palette.save(path("palette.png"), transparency=3)
keep("palette.png", over_white(Image.open(path("palette.png"))))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour, bits, rows, interlace=0, size=(WIDTH, HEIGHT)):
    """A PNG from the bytes of its rows, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# 16 bits a sample, whose rounding to 8 is by definition; every value differs from its neighbours in the low byte.
wide = smooth(3).astype(np.uint16) * 256 + np.arange(WIDTH * HEIGHT * 3).reshape(HEIGHT, WIDTH, 3) * 37 % 256
rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
open(path("sixteen-bits.png"), "wb").write(png(2, 16, rows))
keep("sixteen-bits.png", np.rint(wide / 257))

# Interlaced (Adam7), read by Pillow.
passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
rows = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in smooth(3)[y::dy, x::dx] if row.size)
open(path("interlaced.png"), "wb").write(png(2, 8, rows, interlace=1))
keep("interlaced.png", Image.open(path("interlaced.png")))

# JPEG: baseline, progressive, with colours at half resolution, grey.
for name, image, options in [
    ("baseline", rgb, {"subsampling": 0}),
    ("progressive", rgb, {"subsampling": 0, "progressive": True}),
    ("half-colours", rgb, {"subsampling": 2}),
    ("grey", grey, {}),
]:
    image.save(path(name + ".jpg"), quality=95, **options)
    keep(name + ".jpg", Image.open(path(name + ".jpg")).convert("RGB"))

# WebP: without loss, with loss.
rgb.save(path("lossless.webp"), lossless=True)
keep("lossless.webp", rgb)
rgba.save(path("lossless-alpha.webp"), lossless=True, exact=True)
keep("lossless-alpha.webp", over_white(Image.open(path("lossless-alpha.webp"))))
rgb.save(path("lossy.webp"), quality=95)
keep("lossy.webp", Image.open(path("lossy.webp")).convert("RGB"))

# Orientations, turned by Pillow.
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in [f"orientation-{orientation}.png", f"orientation-{orientation}.webp"]:
        rgb.save(path(name), exif=exif.tobytes(), **({"lossless": True} if name.endswith("webp") else {}))
        keep(name, ImageOps.exif_transpose(Image.open(path(name))).convert("RGB"))

# Settings as the web UI writes them.
info = PngImagePlugin.PngInfo()
info.add_text("parameters", SETTINGS)
rgb.save(path("settings.png"), pnginfo=info)
keep("settings.png", rgb, SETTINGS)
comment = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(SETTINGS, encoding="unicode")}})
rgb.save(path("settings.jpg"), quality=95, subsampling=0)
rgb.save(path("settings.webp"), lossless=True)
for name in ["settings.jpg", "settings.webp"]:
    piexif.insert(comment, path(name))
    keep(name, Image.open(path(name)).convert("RGB"), SETTINGS)

# Other forms of the same: compressed, after the pixels, as ASCII, in a PNG's EXIF block, and little endian by Pillow.
info = PngImagePlugin.PngInfo()
info.add_text("parameters", "Steps: 20, Seed: 42", zip=True)
rgb.save(path("settings-compressed.png"), pnginfo=info)
keep("settings-compressed.png", rgb, "Steps: 20, Seed: 42")
info = PngImagePlugin.PngInfo()
info.add_itxt("parameters", SETTINGS, zip=True)
rgb.save(path("settings-compressed-utf8.png"), pnginfo=info)
keep("settings-compressed-utf8.png", rgb, SETTINGS)
rows = b"".join(b"\0" + row.tobytes() for row in smooth(3))
late = png(2, 8, rows)
late = late[:-12] + chunk(b"tEXt", b"parameters\0Steps: 20") + late[-12:]
open(path("settings-late.png"), "wb").write(late)
keep("settings-late.png", rgb, "Steps: 20")
ascii = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump("Steps: 20", encoding="ascii")}})
rgb.save(path("settings-ascii.webp"), lossless=True, exif=ascii)
keep("settings-ascii.webp", rgb, "Steps: 20")
rgb.save(path("settings-exif.png"), exif=comment)
keep("settings-exif.png", rgb, SETTINGS)
little = Image.Exif()
little.endian = "<"
little.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + SETTINGS.encode("utf-16-le")
rgb.save(path("settings-little.webp"), lossless=True, exif=little.tobytes())
keep("settings-little.webp", rgb, SETTINGS)

# A small file that claims to be huge; it is not in the list, since it cannot be read.
open(path("huge.png"), "wb").write(png(2, 8, b"", size=(100_000, 100_000)))

json.dump(files, open(path("golden.json"), "w"), separators=(",", ":"), ensure_ascii=False)
print(len(files), "files,", sum(os.path.getsize(path(name)) for name in os.listdir(OUT)), "bytes")
