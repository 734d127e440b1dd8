"""What every back end does: all that depends on ``parallel.mode``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.problems import Problem, describe_bytes
from sb3_ext.vec.backends.memory_part import MemoryPart
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.sequential_vec_env import SequentialVecEnv
from sb3_ext.vec.snapshots.exactness import Exactness, self_test


class EnvironmentBackend(ABC):
    """
    Make and step the environments of a run in one way.

    A ``parallel.mode`` is a subclass. Derive yours from
    :class:`~sb3_ext.vec.backends.separate_backend.SeparateBackend` if it combines Gymnasium environments, from
    :class:`~sb3_ext.vec.backends.batch_backend.BatchBackend` if it makes all of them at once::

        from sb3_ext.vec import SeparateBackend

        class SubprocessBackend(SeparateBackend):
            def __init__(self, num_envs: int, start_method: str = "spawn") -> None:
                super().__init__(num_envs)
                self.start_method = start_method

            def combine(self, env_fns):
                return SubprocVecEnv(env_fns, start_method=self.start_method)

    The parameters of the constructor beside ``num_envs`` are what a configuration can set: in keys of the section
    ``parallel`` those that it has (``num_workers``, ``num_envs_per_worker``, ``step_timeout_seconds``,
    ``max_worker_restarts``), in ``parallel.params`` all others. The constructor validates its arguments and does
    nothing else.

    Checkpoints save and restore the ``VecEnv`` by methods that it may have, see
    :mod:`sb3_ext.vec.snapshots.vec_env_access`. Without ``state_dict()`` and ``load_state_dict(state)`` a resume is
    approximate.

    :param num_envs: number of environments
    :raises ConfigError: if the arguments contradict each other
    """

    changeable: ClassVar[frozenset[str]] = frozenset()
    """Parameters that a resume may change, since no result depends on them."""

    is_interchangeable: ClassVar[bool] = False
    """Whether a resume may change to this mode from any other one that says so, with the same results."""

    is_automatic: ClassVar[bool] = False
    """Whether ``parallel.mode: auto`` may choose this mode where it is faster: only with the same results."""

    validates_environment: ClassVar[bool] = False
    """Whether :meth:`find_problems` checks ``env.id`` and ``env.params``, instead of Gymnasium's registry."""

    round_trip_seconds: ClassVar[float] = 0.0
    """What a step of all environments costs beside the steps of each, such as messages to other processes."""

    start_seconds: ClassVar[float] = 0.0
    """How long a start takes, beside making the environments."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs

    @abstractmethod
    def make_env(
        self,
        factory: EnvironmentFactory,
        *,
        seed: int | None = None,
        monitor_directory: Path | None = None,
        resumed: bool = False,
    ) -> VecEnv:
        """
        Make the training environments.

        :param factory: makes one environment
        :param seed: of the first environment; the others' follow
        :param monitor_directory: where episodes are written, as ``N.monitor.csv``; ``None`` writes none
        :param resumed: append to these files instead of replacing them
        :return: ``num_envs`` environments whose infos have ``episode``, as from ``Monitor`` or ``VecMonitor``
        :raises ConfigError: if an environment cannot be made
        """

    def make_eval_env(
        self,
        factory: EnvironmentFactory,
        num_envs: int,
        *,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]] | None = None,
    ) -> VecEnv:
        """
        Make environments of an evaluation, in the calling process: one after the other unless overridden.

        :param factory: makes one environment; with its ``render_mode`` if they are shown
        :param num_envs: how many
        :param wrapper_class: goes around each environment that is shown
        :return: the environments
        :raises ConfigError: if an environment cannot be made
        """
        return make_vec_env(factory, n_envs=num_envs, wrapper_class=wrapper_class, vec_env_cls=SequentialVecEnv)

    def make_sample(self, factory: EnvironmentFactory) -> gymnasium.Env[Any, Any] | VecEnv:
        """
        Make one environment in the calling process, to look at its spaces.

        :param factory: makes one environment
        :return: the environment, or a ``VecEnv`` of it alone
        :raises ConfigError: if it cannot be made
        """
        return factory()

    def test_exactness(self, factory: EnvironmentFactory, interruption: Interruption = NEVER) -> Exactness:
        """
        Try whether environments of this mode resume exactly.

        :param factory: makes one environment
        :param interruption: checked before each step
        :return: the result
        :raises StopRequested: if ``interruption`` says so
        """
        return self_test(lambda: self.make_sample(factory), interruption=interruption)

    def has_single_environments(self, factory: EnvironmentFactory) -> bool:
        """
        Tell whether the environments of this mode can also be made one by one, by the factory.

        :param factory: makes one environment
        :return: whether other modes can step the same environments
        """
        return True

    def find_problems(self, env: Mapping[str, Any]) -> Iterable[Problem]:
        """
        Find what this mode cannot do with environments; mistakes in ``id`` and ``params`` only if
        :attr:`validates_environment` is true.

        :param env: the section ``env`` as plain data, perhaps with mistakes of type, which are reported elsewhere
        :return: one problem a mistake, with its whole key
        """
        return ()

    @property
    def chosen(self) -> Mapping[str, Any]:
        """Parameters that were left out and follow from this machine: a resume elsewhere has the same."""
        return {}

    def estimate_memory(self, env_bytes: int, noun: str = "environments") -> list[MemoryPart]:
        """
        Estimate the memory that the training environments take on this machine.

        :param env_bytes: of one environment
        :param noun: what they are, for messages
        :return: the parts: the environments in the training process, unless overridden
        """
        name = f"{self.num_envs:,} {noun} of {describe_bytes(env_bytes)}"
        return [MemoryPart("parallel.num_envs", name, self.num_envs * env_bytes, is_filled_at_once=True)]

    @property
    def name(self) -> str:
        """A few words for tables, such as ``4 x 8``."""
        return type(self).__name__

    @property
    def description(self) -> str:
        """The same for sentences, such as ``4 workers of 8 environments``."""
        return self.name

    @property
    def concurrency(self) -> int:
        """How many environments are stepped at the same time."""
        return 1

    def predict_step_seconds(self, env_step_seconds: float) -> float:
        """
        Predict the speed, for ``parallel.mode: auto``.

        :param env_step_seconds: a step of one environment
        :return: a step of all environments, in seconds
        """
        return self.round_trip_seconds + self.num_envs / self.concurrency * env_step_seconds

    @classmethod
    def explain_preference(cls, factory: EnvironmentFactory) -> str | None:
        """
        Say whether ``parallel.mode: auto`` takes this mode for an environment, on whatever machine.

        :param factory: makes one environment
        :return: why, ``None`` if it does not
        """
        return None

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        """
        List what ``sb3-ext advise`` measures of this mode although the configuration names another.

        :param factory: makes one environment
        :param num_envs: number of environments
        :param cores: of this process
        :return: arguments of the constructor beside ``num_envs``, a dictionary a variant; none unless overridden
        """
        return []
