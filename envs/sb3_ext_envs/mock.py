"""An environment of noise that replaces a slow or expensive one, to check a set-up."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

# Larger bounds, such as 3.4e38, mean "none". Uniform samples between them would overflow in any network.
_NO_BOUND = 1e6
_FRAME_SHAPE = (64, 64, 3)


class MockEnv(gymnasium.Env[Any, Any]):
    """
    Return random observations and rewards, for any spaces, in episodes of random length.

    Observations are samples of the space, normally distributed along unbounded directions; rewards are uniform in
    [-1, 1) and do not depend on the actions; every other episode, on average, is truncated rather than terminated.
    ``reset(seed=…)`` determines everything that follows, and a pickled copy continues exactly.

    :param observation_space: four numbers between -1 and 1 by default
    :param action_space: two discrete actions by default
    :param like: id of an environment whose spaces and action masks are used instead; it is made once and closed
    :param like_params: keyword arguments of that environment's constructor
    :param shortest_episode_steps: length of the shortest episodes; must be positive
    :param longest_episode_steps: length of the longest episodes
    :param has_action_masks: have a method ``action_masks()``, for MaskablePPO, whose masks change at every step;
        needs a discrete action space. Masked actions are accepted
    :param render_mode: ``"rgb_array"`` or ``None``
    :raises ValueError: if the lengths do not fit each other, or the action space cannot be masked
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 (as in the base class)

    def __init__(
        self,
        observation_space: spaces.Space[Any] | None = None,
        action_space: spaces.Space[Any] | None = None,
        like: str | None = None,
        like_params: dict[str, Any] | None = None,
        shortest_episode_steps: int = 10,
        longest_episode_steps: int = 50,
        has_action_masks: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if not 1 <= shortest_episode_steps <= longest_episode_steps:
            raise ValueError(
                "shortest_episode_steps must be positive and at most longest_episode_steps, "
                f"but got {shortest_episode_steps} and {longest_episode_steps}"
            )
        if like is not None:
            model = gymnasium.make(like, **(like_params or {}))
            observation_space, action_space = model.observation_space, model.action_space
            has_action_masks = model.has_wrapper_attr("action_masks")
            model.close()
        # Not "or": an empty Dict is false.
        self.observation_space = spaces.Box(-1.0, 1.0, (4,)) if observation_space is None else observation_space
        self.action_space = spaces.Discrete(2) if action_space is None else action_space
        self.render_mode = render_mode
        self._length_range = (shortest_episode_steps, longest_episode_steps)
        # A copy, so that samples of the public space do not change the episodes.
        self._sampled_space = _widen(self.observation_space)
        self._masks: list[Any] = []
        self._choices = _list_choices(self.action_space) if has_action_masks else []
        if has_action_masks:
            self.action_masks = self._get_action_masks
        self._steps_left = 0
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        Begin an episode.

        :param seed: determines this episode and all that follow
        :param options: not used
        :return: first observation, and an empty dictionary
        """
        super().reset(seed=seed)
        self._sampled_space.seed(int(self.np_random.integers(2**31)))
        self._steps_left = int(self.np_random.integers(*self._length_range, endpoint=True))
        self._step = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """
        Take one step.

        :param action: any action of the space
        :return: observation, reward in [-1, 1), terminated, truncated, and an empty dictionary
        """
        self._steps_left -= 1
        self._step += 1
        is_over = self._steps_left <= 0
        is_truncated = is_over and bool(self.np_random.random() < 0.5)
        reward = float(self.np_random.uniform(-1.0, 1.0))
        return self._observe(), reward, is_over and not is_truncated, is_truncated, {}

    def render(self) -> Any:
        """
        Draw a grey image.

        :return: shape (64, 64, 3), dtype uint8, brighter with each step; ``None`` without a render mode
        """
        if self.render_mode is None:
            return None
        return np.full(_FRAME_SHAPE, self._step % 256, dtype=np.uint8)

    def _observe(self) -> Any:
        self._masks = [self._draw_mask(count) for count in self._choices]
        return self._sampled_space.sample()

    def _draw_mask(self, count: int) -> Any:
        mask = self.np_random.random(count) < 0.5
        mask[self.np_random.integers(count)] = True
        return mask

    def _get_action_masks(self) -> Any:
        return np.concatenate(self._masks)


def _list_choices(space: spaces.Space[Any]) -> list[int]:
    """:return: the number of choices in each dimension of a discrete action"""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(count) for count in space.nvec.flatten()]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    raise ValueError(f"has_action_masks needs a Discrete, MultiDiscrete or MultiBinary action space, but got {space}")


def _widen(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """:return: a copy in which huge bounds are infinite"""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _widen(part) for name, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([_widen(part) for part in space.spaces])
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        # In float64: the number itself is too large for float16.
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        low = np.where(low < -_NO_BOUND, -np.inf, low).astype(space.dtype)
        high = np.where(high > _NO_BOUND, np.inf, high).astype(space.dtype)
        return spaces.Box(low, high, dtype=space.dtype)
    return copy.deepcopy(space)
