"""Write images to an MP4 or GIF file with imageio. No display is needed."""

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
# Players replace shorter durations of a GIF's frames by a longer default.
_MAX_GIF_FRAMES_PER_SECOND = 25


class Film:
    """
    Write a video frame by frame. The file is created by :meth:`close`, unless there are no frames.

    :param path: path that ends in ``.mp4`` or ``.gif``, in an existing directory. A GIF with a high frame rate omits
        frames
    :param frames_per_second: frame rate
    :raises ValueError: if the path has another suffix
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
            # Video players need even sides, but not multiples of 16, to which imageio would scale.
            self._options: dict[str, Any] = {"fps": frames_per_second, "quality": 8, "macro_block_size": 2}
        else:
            self._stride = math.ceil(frames_per_second / _MAX_GIF_FRAMES_PER_SECOND)
            milliseconds = round(1000 * self._stride / frames_per_second)
            # The frames are kept until the end, with 8 bits per pixel, as in the GIF format.
            self._options = {"duration": milliseconds, "loop": 0, "bits": 8}
        self._path = path
        self._unfinished = path.with_name(f".{path.stem}.unfinished{suffix}")
        self._writer: Any = None
        self._frames = 0

    def add(self, frame: Frame) -> None:
        """:param frame: the next frame, of the same size as the first"""
        if self._frames % self._stride == 0:
            if self._writer is None:
                self._writer = imageio.get_writer(self._unfinished, **self._options)
            self._writer.append_data(frame)
        self._frames += 1

    def close(self) -> None:
        """Write the file, unless there are no frames. Further calls do nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._unfinished.replace(self._path)


def caption_frame(frame: Frame, captions: Sequence[str]) -> Frame:
    """
    Enlarge a small frame, and add a strip of text above it.

    :param frame: the frame
    :param captions: short texts, in columns of fixed positions
    :return: a frame of even height and width, as video codecs require; its size depends only on that of ``frame``
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
