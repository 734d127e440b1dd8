"""Write pictures into a film with imageio: an MP4 file, or a GIF. No screen is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sb3_ext.errors import MissingExtraError

Frame = np.ndarray[Any, np.dtype[np.uint8]]
"""Shape ``(height, width, 3)``, red, green, blue."""

_MIN_SIDE_PIXELS = 360
# Players take shorter times between two pictures of a GIF for a mistake and play them slowly.
_MAX_GIF_FRAMES_PER_SECOND = 25


class Film:
    """
    A film that grows by one picture at a time. Its file is there once it is closed, unless there were no pictures.

    :param path: a file name that ends in ``.mp4`` or ``.gif``; its directory exists. A fast GIF leaves pictures out
    :param frames_per_second: how fast it is played
    :raises ValueError: if the file name ends in something else
    :raises MissingExtraError: if ffmpeg is needed and missing
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        suffix = path.suffix.lower()
        if suffix not in (".mp4", ".gif"):
            raise ValueError(f"a video must be an .mp4 or a .gif file, but got {path.name!r}")
        self._stride = 1
        if suffix == ".mp4":
            if find_spec("imageio_ffmpeg") is None:
                raise MissingExtraError("an MP4 video", "video")
            # Video players need even sides, and no more than that: no scaling to multiples of 16.
            self._options: dict[str, Any] = {"fps": frames_per_second, "quality": 8, "macro_block_size": 2}
        else:
            self._stride = math.ceil(frames_per_second / _MAX_GIF_FRAMES_PER_SECOND)
            milliseconds = round(1000 * self._stride / frames_per_second)
            # The pictures are kept until the end: with 8 bits a pixel, which is also all that the format can hold.
            self._options = {"duration": milliseconds, "loop": 0, "bits": 8}
        self._path = path
        self._unfinished = path.with_name(f".{path.stem}.unfinished{suffix}")
        self._writer: Any = None
        self._frames = 0

    def add(self, frame: Frame) -> None:
        """:param frame: the next picture, of the same size as the first"""
        if self._frames % self._stride == 0:
            if self._writer is None:
                self._writer = imageio.get_writer(self._unfinished, **self._options)
            self._writer.append_data(frame)
        self._frames += 1

    def close(self) -> None:
        """Write the file, unless there were no pictures. Closing again does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._unfinished.replace(self._path)


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
