"""A run from Python: what it has learned, besides how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.agents.agent import find_agent
from sb3_ext.agents.agent_episodes import evaluate_agent
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.store.checkpoint_store import BEST, LATEST, CheckpointStore
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.runs.run import Run


@dataclass(frozen=True)
class RunCheckpoint:
    """
    One checkpoint of a run.

    :param bundle: what is on the disk, verified
    """

    bundle: Bundle

    @property
    def path(self) -> Path:
        """Its directory; ``path / "model.zip"`` is what stock SB3 loads."""
        return self.bundle.path

    @property
    def step(self) -> int:
        """Environment transitions so far."""
        return self.bundle.step

    def load(self, *, trust: bool = False) -> BaseAlgorithm:
        """
        :param trust: read pickles, too, as stock SB3 does
        :return: the model, to play with
        :raises CheckpointError: if it cannot be built without trust
        """
        return load_model(self.path, trust=trust)

    def evaluate(
        self,
        episodes: int | None = None,
        *,
        deterministic: bool | None = None,
        seed: int | None = None,
        trust: bool = False,
    ) -> Evaluation:
        """
        Judge it as in training: as many episodes with the same seed are the same episodes.

        :param episodes: how many; as many as in training when left out
        :param deterministic: take the most likely action; as in training when left out
        :param seed: of the episodes; training's evaluations' when left out
        :param trust: read pickles, too, as stock SB3 does
        :return: the statistics
        :raises ValueError: if ``episodes`` is not positive
        """
        return evaluate_agent(find_agent(self.path), episodes, deterministic=deterministic, seed=seed, trust=trust)


class TrainedRun(Run):
    """
    A run directory, of a living run or of one that ended. Every attribute is read when it is asked for.

    :param directory: the run directory
    :raises RunError: this is no run directory
    """

    @property
    def best(self) -> RunCheckpoint:
        """
        The checkpoint with the highest score.

        :raises CheckpointError: if none has a score yet
        """
        return RunCheckpoint(CheckpointStore(self.paths.checkpoints).resolve(BEST, playing_only=True))

    @property
    def latest(self) -> RunCheckpoint:
        """
        The newest checkpoint.

        :raises CheckpointError: if there is none yet
        """
        return RunCheckpoint(CheckpointStore(self.paths.checkpoints).resolve(LATEST, playing_only=True))

    def evaluate(
        self,
        episodes: int | None = None,
        *,
        deterministic: bool | None = None,
        seed: int | None = None,
        trust: bool = False,
    ) -> Evaluation:
        """
        :meth:`RunCheckpoint.evaluate` of the best checkpoint, or of the latest if none has a score.
        """
        source = find_agent(self.paths.root)
        return evaluate_agent(source, episodes, deterministic=deterministic, seed=seed, trust=trust)
