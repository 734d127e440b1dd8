"""Finished episodes, read from what the algorithm shows to its callbacks."""

from __future__ import annotations

from itertools import compress
from typing import Any

from sb3_ext.callbacks.bases.light_callback import LightCallback, heeds_callbacks


class EpisodeCallback(LightCallback):
    """
    Counts finished episodes over all environments in ``episodes``, and hands each to :meth:`_on_episode`.

    Returns and lengths are those of SB3's ``Monitor`` or ``VecMonitor`` (SB3 puts a ``Monitor`` around every
    environment that is not a ``VecEnv`` yet): before normalisation and clipping of rewards. ARS shows its episodes
    only once a generation is evaluated, so there they all arrive at the end of the rollout. Games that the agent played
    against itself on a mirror board have no return, and are no episodes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.episodes = 0

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "episodes": self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self.episodes = state["episodes"]

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        """
        React to a finished episode; ``episodes`` counts it already. Does nothing unless a subclass says what.

        :param episode_return: the sum of its rewards, ``None`` where nothing monitors the environment
        :param episode_length: its number of steps, ``None`` where nothing monitors the environment
        :param info: the information that came with its last step
        """

    def _on_step(self) -> bool:
        super()._on_step()
        if "dones" in self.locals:
            # Most steps end no episode: a list tells several times faster than an array of a few environments.
            dones = self.locals["dones"].tolist()
            if True in dones:
                for info in compress(self.locals["infos"], dones):
                    self._finish_episode(info)
        return True

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        if not heeds_callbacks(self.model):
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
