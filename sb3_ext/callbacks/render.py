"""Render the environments during training."""

from __future__ import annotations

from importlib.util import find_spec

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.errors import Sb3ExtError


class RenderCallback(LightCallback):
    """
    Render the environments in a window after every step.

    Environments with ``render_mode="human"`` open their own windows. The images of environments with
    ``render_mode="rgb_array"`` are tiled in one window, which needs OpenCV.

    :raises Sb3ExtError: when training starts, if the environments have another render mode, or OpenCV is missing
    """

    def _init_callback(self) -> None:
        render_mode = self.training_env.render_mode
        if render_mode not in ("human", "rgb_array"):
            raise Sb3ExtError(
                "rendering needs environments made with render_mode 'human' or 'rgb_array', "
                f"but these were made with {render_mode!r}"
            )
        if render_mode == "rgb_array" and find_spec("cv2") is None:
            raise Sb3ExtError(
                "rendering environments made with render_mode 'rgb_array' needs OpenCV: pip install opencv-python"
            )

    def _on_step(self) -> bool:
        self.training_env.render("human")
        return True
