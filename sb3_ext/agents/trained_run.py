"""Open a run and its checkpoints from Python."""

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
    A checkpoint of a run.

    :param bundle: the checkpoint on disk, verified
    """

    bundle: Bundle

    @property
    def path(self) -> Path:
        """Directory of the checkpoint; stock SB3 loads ``path / "model.zip"``."""
        return self.bundle.path

    @property
    def step(self) -> int:
        """Environment transitions so far."""
        return self.bundle.step

    def load(self, *, trust: bool = False) -> BaseAlgorithm:
        """
        Load the model, to play or to inspect.

        :param trust: read pickles, as stock SB3 does
        :return: the model
        :raises CheckpointError: if it cannot be built without ``trust``
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
        Evaluate as in training: the same number of episodes with the same seed repeats the same episodes.

        :param episodes: number of episodes; ``None`` for as many as in training
        :param deterministic: take the most likely action; ``None`` for the setting of the training
        :param seed: seed of the episodes; ``None`` for the seed of the training's evaluations
        :param trust: read pickles, as stock SB3 does
        :return: the statistics
        :raises ValueError: if ``episodes`` is not positive
        """
        return evaluate_agent(find_agent(self.path), episodes, deterministic=deterministic, seed=seed, trust=trust)


class TrainedRun(Run):
    """
    A run directory, of a running or an ended run. Every attribute is read from disk when it is accessed.

    :param directory: the run directory
    :raises RunError: if it is not a run directory
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
        Evaluate the best checkpoint, or the latest if none has a score; see :meth:`RunCheckpoint.evaluate`.
        """
        source = find_agent(self.paths.root)
        return evaluate_agent(source, episodes, deterministic=deterministic, seed=seed, trust=trust)
