"""Base class for callbacks that react to finished episodes."""

from __future__ import annotations

from itertools import compress
from typing import Any

from sb3_ext.callbacks.bases.light_callback import LightCallback, has_stock_loop


class EpisodeCallback(LightCallback):
    """
    Count finished episodes over all environments in ``episodes``, and call :meth:`_on_episode` for each.

    Returns and lengths are those of SB3's ``Monitor`` or ``VecMonitor``, before rewards are normalised or clipped. With
    ARS, all episodes of a generation arrive at the end of the rollout. Games on mirror boards, in which the agent plays
    itself, are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.episodes = 0
        #: whether another callback passes the episodes of all ranks to :meth:`receive_episode`
        self.receives_episodes = False

    def receive_episode(self, step: int, info: dict[str, Any]) -> None:
        """
        React to an episode that has ended in this rank or another one.

        :param step: environment transitions when it ended
        :param info: the ``info`` of its last step
        """
        self.num_timesteps = step
        self._finish_episode(info)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "episodes": self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self.episodes = state["episodes"]

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        """
        React to a finished episode; ``episodes`` counts it already. Does nothing unless overridden.

        :param episode_return: the sum of its rewards; ``None`` without ``Monitor`` or ``VecMonitor``
        :param episode_length: its number of steps; ``None`` without ``Monitor`` or ``VecMonitor``
        :param info: the ``info`` of its last step
        """

    def _on_step(self) -> bool:
        super()._on_step()
        if "dones" in self.locals and not self.receives_episodes:
            # Most steps end no episode: searching a list is several times faster than reducing a small array.
            dones = self.locals["dones"].tolist()
            if True in dones:
                for info in compress(self.locals["infos"], dones):
                    self._finish_episode(info)
        return True

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        if not has_stock_loop(self.model):
            for episode in self.model.ep_info_buffer or ():
                self._finish_episode({"episode": episode})

    def _finish_episode(self, info: dict[str, Any]) -> None:
        if "is_mirror" in info:
            return
        self.episodes += 1
        episode = info.get("episode")
        if episode is None:
            self._on_episode(None, None, info)
        else:
            self._on_episode(float(episode["r"]), int(episode["l"]), info)
