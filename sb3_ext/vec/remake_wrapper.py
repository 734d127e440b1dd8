"""Make an environment again, with other arguments, within the same training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from sb3_ext.vec.environment_change import EnvironmentChange

_MAX_SEED = 2**31


class RemakeWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Replace the environment inside by one that is made with other arguments. The outermost wrapper but for ``Monitor``::

        venv = make_vec_env(lambda: RemakeWrapper(partial(gymnasium.make, "FrozenLake-v1")), 8)
        venv.env_method("change_environment", {"map_name": "8x8"}, {}, {})

    An episode ends in the environment in which it has begun: the next reset makes the new one, and seeds it from the
    generator of the old one. Attributes that were set and methods that were called are repeated.

    Spaces must stay the same. Checkpoints of this package save the arguments and the environment.

    :param make: makes the environment, with other wrappers, from keyword arguments
    """

    def __init__(self, make: Callable[..., gymnasium.Env[Any, Any]]) -> None:
        super().__init__(make())
        # Those of the first environment: training has references to them.
        self.observation_space = self.env.observation_space
        self.action_space = self.env.action_space
        self._make = make
        self._params: dict[str, Any] = {}
        self._made_with: dict[str, Any] = {}
        self._changes: list[EnvironmentChange] = []
        self._applied = 0  # changes that the present environment has

    def change_environment(self, params: dict[str, Any], attributes: dict[str, Any], calls: dict[str, Any]) -> None:
        """
        Change the environment: at once; at the next reset, if it is to be made again then.

        :param params: arguments to make it with, beside earlier ones
        :param attributes: attributes to set
        :param calls: methods to call, each with its keyword arguments
        """
        self._params = {**self._params, **params}
        self._changes.append(EnvironmentChange(attributes, calls))
        if self._params == self._made_with:
            self._apply_changes(len(self._changes))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        :param seed: as in Gymnasium
        :param options: as in Gymnasium
        :return: observation and info, of the new environment if it was changed
        """
        if self._params != self._made_with:
            drawn = int(self.env.unwrapped.np_random.integers(_MAX_SEED))
            seed = drawn if seed is None else seed
            self._remake(self._params, len(self._changes))
        return super().reset(seed=seed, options=options)

    def get_settings(self) -> dict[str, Any]:
        """:return: how the environment was made and changed, for :meth:`load_settings`"""
        return {
            "params": self._params,
            "made_with": self._made_with,
            "changes": list(self._changes),
            "applied": self._applied,
        }

    def load_settings(self, settings: dict[str, Any]) -> None:
        """
        Make an environment like that of another ``RemakeWrapper``.

        :param settings: from :meth:`get_settings`
        """
        changes, applied = list(settings["changes"]), settings["applied"]
        is_same = settings["made_with"] == self._made_with and changes[:applied] == self._changes[: self._applied]
        self._changes = changes
        if not is_same:
            self._remake(settings["made_with"], applied)
        self._params = dict(settings["params"])

    def _remake(self, params: dict[str, Any], applied: int) -> None:
        made = self._make(**params)
        for name in ("observation_space", "action_space"):
            if getattr(made, name) != getattr(self, name):
                found = getattr(made, name)
                made.close()
                raise ValueError(f"the new environment has another {name}: {found}, not {getattr(self, name)}")
        self.env.close()
        self.env = made
        self._made_with, self._applied = dict(params), 0
        self._apply_changes(applied)

    def _apply_changes(self, count: int) -> None:
        for change in self._changes[self._applied : count]:
            change.apply_to(self.env)
        self._applied = count
