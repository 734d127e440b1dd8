"""Pictures into a film: MP4 through ffmpeg, GIF through Pillow. No screen is needed."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sb3_ext.atomic import write_bytes
from sb3_ext.errors import MissingExtraError

Frame = np.ndarray[Any, np.dtype[np.uint8]]
"""Shape ``(height, width, 3)``, red, green, blue."""

_MIN_SIDE_PIXELS = 360
# Players take shorter times between two pictures of a GIF for a mistake and play them slowly.
_MAX_GIF_FRAMES_PER_SECOND = 25


class Film(Protocol):
    """A file that grows by one picture at a time, and is there once it is closed."""

    def add(self, frame: Frame) -> None:
        """:param frame: the next picture, of the same size as the first"""

    def close(self) -> None:
        """Write the file, unless there were no pictures. Closing again does nothing."""


def open_film(path: Path, frames_per_second: float) -> Film:
    """
    :param path: a file name that ends in ``.mp4`` or ``.gif``; its directory exists
    :param frames_per_second: how fast it is played
    :return: an empty film
    :raises ValueError: if the file name ends in something else
    :raises MissingExtraError: if ffmpeg is needed and missing
    """
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return _Gif(path, frames_per_second)
    if suffix == ".mp4":
        return _Mp4(path, frames_per_second)
    raise ValueError(f"a video must be an .mp4 or a .gif file, but got {path.name!r}")


def caption_frame(frame: Frame, captions: Sequence[str]) -> Frame:
    """
    Enlarge a small picture, and put a strip of text above it, where it covers nothing.

    :param frame: the picture
    :param captions: short texts, each in a column of its own so that none moves when another grows
    :return: a picture of even height and width, as video codecs want it; its size depends only on that of ``frame``
    """
    image = Image.fromarray(frame)
    factor = math.ceil(_MIN_SIDE_PIXELS / min(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    font_size = image.width // 26
    strip_height = 2 * font_size
    canvas = Image.new("RGB", (image.width + image.width % 2, image.height + image.height % 2 + strip_height), "black")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(font_size)
    for place, caption in enumerate(captions):
        left = font_size // 2 + place * image.width // len(captions)
        draw.text((left, font_size), caption, fill="white", font=font, anchor="lm")
    canvas.paste(image, (0, strip_height))
    return np.asarray(canvas)


class _Mp4:
    def __init__(self, path: Path, frames_per_second: float) -> None:
        try:
            self._write_frames = import_module("imageio_ffmpeg").write_frames
        except ImportError as error:
            raise MissingExtraError("an MP4 video", "video") from error
        self._path = path
        self._unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
        self._frames_per_second = frames_per_second
        self._ffmpeg: Generator[None, Any, None] | None = None

    def add(self, frame: Frame) -> None:
        if self._ffmpeg is None:
            height, width, _ = frame.shape
            # Video players need even sides, and no more than that: no scaling to multiples of 16.
            self._ffmpeg = self._write_frames(
                str(self._unfinished), (width, height), fps=self._frames_per_second, quality=8, macro_block_size=2
            )
            self._ffmpeg.send(None)
        self._ffmpeg.send(np.ascontiguousarray(frame))

    def close(self) -> None:
        if self._ffmpeg is not None:
            self._ffmpeg.close()
            self._ffmpeg = None
            self._unfinished.replace(self._path)


class _Gif:
    def __init__(self, path: Path, frames_per_second: float) -> None:
        self._path = path
        self._stride = math.ceil(frames_per_second / _MAX_GIF_FRAMES_PER_SECOND)
        self._milliseconds = round(1000 * self._stride / frames_per_second)
        self._images: list[Image.Image] = []
        self._frames = 0

    def add(self, frame: Frame) -> None:
        if self._frames % self._stride == 0:
            # One byte a pixel, which is also all that the format can hold.
            self._images.append(Image.fromarray(frame).quantize(method=Image.Quantize.FASTOCTREE))
        self._frames += 1

    def close(self) -> None:
        if self._images:
            first, *others = self._images
            content = BytesIO()
            first.save(content, "GIF", save_all=True, append_images=others, duration=self._milliseconds, loop=0)
            write_bytes(self._path, content.getvalue(), durable=False)
            self._images.clear()
