"""A ``VecEnv`` of worker processes with several environments each."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import psutil
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn
from stable_baselines3.common.vec_env.util import dict_to_obs, obs_space_info

from sb3_ext.errors import ConfigError
from sb3_ext.vec.monitor_files import MonitorFile
from sb3_ext.vec.snapshots.environment_states import EnvironmentStates
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError
from sb3_ext.vec.workers.shared_memory import SharedBlock, StepArrays, has_shared_actions, list_step_specs
from sb3_ext.vec.workers.worker_handle import WorkerHandle
from sb3_ext.vec.workers.worker_messages import NOTHING, pack
from sb3_ext.vec.workers.worker_pool import WorkerPool, pack_env_fns, split_ranks
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS, split_environments
from sb3_ext.vec.workers.worker_support import validate_workers_can_run

_SAFE_START_METHODS = ("forkserver", "spawn")


class WorkerVecEnv(VecEnv):
    """
    Step environments in worker processes, several in each. In a script of your own (inside
    ``if __name__ == "__main__":``, as for all processes that are not forked)::

        from sb3_ext.vec import WorkerVecEnv

        env = make_vec_env("CartPole-v1", 32, vec_env_cls=WorkerVecEnv, vec_env_kwargs={"num_workers": 4})

    The results are those of SB3's ``DummyVecEnv``. A step costs one message each way a worker, however many
    environments it has; observations, rewards and actions are in shared memory, and only infos with content are sent.
    The environments of a worker share its global random number generators.

    If an environment raises an exception, the error names the environment and has the traceback; the worker keeps
    running. If a worker ends or does not answer, it is replaced, as long as ``max_worker_restarts`` allows, and its
    environments begin new episodes: the step returns the last observation as ``terminal_observation``, reward 0 and
    ``TimeLimit.truncated``. Otherwise the error names the worker. Workers ignore Ctrl+C and end with the training
    process.

    :param env_fns: make one environment each
    :param num_workers: number of processes, which must divide the number of environments; ``None`` for the largest such
        number, at most one a core
    :param step_timeout_seconds: a worker that needs longer for a step of its environments, a reset or another answer is
        killed; ``None`` waits for ever
    :param max_worker_restarts: how many lost workers are replaced
    :param start_method: ``forkserver``, the default where it is available; ``spawn``; or ``fork``, which needs neither
        a ``__main__`` guard nor picklable environments, but may deadlock if this process has threads: a
        ``RuntimeWarning`` says so
    :raises ConfigError: if the numbers do not fit, an environment cannot be sent to another process, or its
        observations are not made of plain numbers
    :raises ValueError: if the start method is not available
    :raises WorkerError: if a worker is lost while it makes its environments; an error of an environment is raised as it
        is
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]],
        num_workers: int | None = None,
        *,
        step_timeout_seconds: float | None = STEP_TIMEOUT_SECONDS,
        max_worker_restarts: int = 0,
        start_method: str | None = None,
    ) -> None:
        validate_workers_can_run()
        method = _choose_start_method(start_method)
        groups = split_ranks(len(env_fns), split_environments(len(env_fns), num_workers))
        handles = [
            WorkerHandle(
                index,
                ranks,
                # A forked process has the functions already, also those that cannot be pickled.
                env_fns[ranks.start : ranks.stop] if method == "fork" else pack_env_fns(env_fns, ranks),
                start_method=method,
                timeout_seconds=step_timeout_seconds,
            )
            for index, ranks in enumerate(groups)
        ]
        self._use(WorkerPool(handles, len(env_fns), max_restarts=max_worker_restarts))

    def _use(self, pool: WorkerPool) -> None:
        """
        Start the workers. Subclasses with workers of another kind call this instead of the constructor.

        :param pool: of the workers
        """
        self._pool = pool
        # Also at garbage collection or the end of Python without close(): multiprocessing would wait for hanging
        # workers.
        self._close = multiprocessing.util.Finalize(self, self._pool.stop, exitpriority=1)
        try:
            self._start(sum(len(handle.ranks) for handle in pool.handles))
        except BaseException:
            self.close()
            raise

    def _start(self, num_envs: int) -> None:
        descriptions = self._pool.start()
        observation_spaces = [space for spaces, _, _ in descriptions for space in spaces]
        action_spaces = [space for _, spaces, _ in descriptions for space in spaces]
        specs = list_step_specs(num_envs, observation_spaces[0], action_spaces[0])
        for rank, pair in enumerate(zip(observation_spaces, action_spaces, strict=True)):
            if list_step_specs(num_envs, *pair) != specs:
                raise ConfigError(
                    f"environment {rank} has the spaces {pair[0]} and {pair[1]}, "
                    f"but environment 0 has {observation_spaces[0]} and {action_spaces[0]}"
                )
        has_actions = has_shared_actions(action_spaces[0])
        block = SharedBlock(specs)
        self._arrays = StepArrays.view(block, has_actions, 0, num_envs)
        self._pool.share(block, specs, has_actions)
        self._keys = obs_space_info(observation_spaces[0])[0]
        self._last_observations: list[np.ndarray] = []
        self._is_stepping = False
        super().__init__(num_envs, observation_spaces[0], action_spaces[0])
        self.metadata = descriptions[0][2]

    @property
    def worker_pids(self) -> list[int]:
        """The worker processes, in the order of their environments."""
        return [handle.pid for handle in self._pool.handles]

    def step_async(self, actions: np.ndarray) -> None:
        """
        :param actions: one each
        """
        shared = self._arrays.actions
        if (
            shared is not None
            and isinstance(actions, np.ndarray)
            and actions.dtype == shared.dtype
            and actions.shape == shared.shape
        ):
            shared[...] = actions
            messages = [NOTHING] * len(self._pool.handles)
        else:
            messages = [
                pack(("step", actions[handle.ranks.start : handle.ranks.stop]), "actions")
                for handle in self._pool.handles
            ]
        self._pool.send_steps(messages)
        self._is_stepping = True

    def step_wait(self) -> VecEnvStepReturn:
        """
        :return: observations, rewards, dones and infos
        :raises WorkerError: if an environment failed, or a worker is lost and may not be replaced
        """
        self._is_stepping = False
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        answers = self._pool.receive_steps()
        for handle, answer in zip(self._pool.handles, answers, strict=True):
            for position, info, reset_info in answer or ():
                rank = handle.ranks.start + position
                infos[rank] = info
                if reset_info is not None:
                    self.reset_infos[rank] = reset_info
        if self._pool.replaced:
            self._truncate_replaced(infos)
        return self._copy_observations(), self._arrays.rewards.copy(), self._arrays.dones.copy(), infos

    def reset(self) -> VecEnvObs:
        """
        :return: observations
        """
        self._is_stepping = False
        ranks = [handle.ranks for handle in self._pool.handles]
        messages = [("reset", self._seeds[r.start : r.stop], self._options[r.start : r.stop]) for r in ranks]
        answers = self._pool.ask(list(enumerate(messages)), "resetting", as_itself=False)
        self._pool.replaced.clear()
        self.reset_infos = [info for infos in answers for info in infos]
        self._reset_seeds()
        self._reset_options()
        return self._copy_observations()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """
        :param seed: of the first environment, for the next reset; the others' follow
        :return: the seeds
        """
        seeds = super().seed(seed)
        self._pool.seed = seeds[0]
        return seeds

    def close(self) -> None:
        """End the workers: at once, or within seconds if an environment is busy or hangs."""
        self._close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """
        :return: a frame of each environment
        """
        if self.render_mode != "rgb_array":
            warnings.warn(f"no images: the render mode is {self.render_mode}, not rgb_array", stacklevel=2)
            return [None] * self.num_envs
        return self._ask("render")

    def has_attr(self, attr_name: str) -> bool:
        """
        :param attr_name: an attribute's name
        :return: whether all environments, or wrappers of theirs, have it
        """
        return all(self._ask("has_attr", attr_name))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """
        :param attr_name: an attribute's name
        :param indices: of the environments
        :return: copies of the values
        """
        return self._ask("get_attr", attr_name, indices=indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """
        :param attr_name: an attribute's name
        :param value: is copied to the workers
        :param indices: of the environments
        """
        self._ask("set_attr", attr_name, value, indices=indices)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """
        :param method_name: a method's name
        :param method_args: its arguments
        :param indices: of the environments
        :param method_kwargs: its keyword arguments
        :return: copies of the results, a list
        """
        return self._ask("env_method", method_name, method_args, method_kwargs, indices=indices)

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """
        :param wrapper_class: of wrappers
        :param indices: of the environments
        :return: whether each is inside such a wrapper
        """
        return self._ask("is_wrapped", wrapper_class, indices=indices)

    def get_environment_states(self) -> EnvironmentStates:
        """See :class:`~sb3_ext.vec.snapshots.environment_states.SupportsEnvironmentStates`."""
        workers = self._ask_all("get_snapshot")
        layers = tuple(state for states, _ in workers for state in states)
        return EnvironmentStates(layers, tuple(generators for _, generators in workers), tuple(self.reset_infos))

    def set_environment_states(self, states: EnvironmentStates) -> bool:
        """
        See :class:`~sb3_ext.vec.snapshots.environment_states.SupportsEnvironmentStates`.

        :param states: states of as many environments; they may come from more or fewer workers
        :return: whether the global generators were restored, too: those of as many workers
        :raises SnapshotError: if a state does not fit its environment
        """
        states.validate_count(self.num_envs)
        handles = self._pool.handles
        has_generators = len(states.generators) == len(handles)
        generators = states.generators if has_generators else [None] * len(handles)
        messages = [
            ("set_snapshot", states.layers[handle.ranks.start : handle.ranks.stop], generator)
            for handle, generator in zip(handles, generators, strict=True)
        ]
        self._pool.ask(list(enumerate(messages)), "restoring a snapshot")
        self.reset_infos = list(states.reset_infos)
        return has_generators

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :return: arguments of the next reset; :meth:`get_environment_states` saves the environments
        """
        return {"seeds": self._seeds, "options": self._options}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :param state: the state; one of an earlier version has the environments of as many workers, too
        :raises SnapshotError: if it does not fit
        """
        self._seeds, self._options = list(state["seeds"]), list(state["options"])
        if "workers" not in state:
            return
        workers = state["workers"]
        if len(workers) != len(self._pool.handles):
            raise SnapshotError(f"the snapshot is of {len(workers)} workers, here are {len(self._pool.handles)}")
        questions = [(index, ("set_joint_snapshot", *worker)) for index, worker in enumerate(workers)]
        self._pool.ask(questions, "restoring a snapshot")
        self.reset_infos = list(state["reset_infos"])

    def get_monitor_files(self) -> list[MonitorFile | None]:
        """
        :return: of each environment's ``Monitor``, ``None`` if it writes none
        """
        return [file for files in self._ask_all("get_monitor_files") for file in files]

    def cut_monitor_files(self, sizes_bytes: Sequence[int | None]) -> None:
        """
        :param sizes_bytes: of each environment, see :func:`sb3_ext.vec.monitor_files.cut_monitor_file`
        """
        ranks = [handle.ranks for handle in self._pool.handles]
        sizes = [*sizes_bytes, *[None] * (self.num_envs - len(sizes_bytes))]
        messages = [("cut_monitor_files", sizes[r.start : r.stop]) for r in ranks]
        self._pool.ask(list(enumerate(messages)), "cutting Monitor files")

    def _ask_all(self, method: str) -> list[Any]:
        self._check_idle(method)
        return self._pool.ask([(handle.index, (method,)) for handle in self._pool.handles], f"asked for {method}")

    def _ask(self, question: str, *arguments: Any, indices: VecEnvIndices = None) -> list[Any]:
        """Send each worker one message for all its chosen environments."""
        self._check_idle(question)
        each = self.num_envs // len(self._pool.handles)
        ranks = [range(self.num_envs)[index] for index in self._get_indices(indices)]
        positions: dict[int, list[int]] = {}
        for rank in ranks:
            positions.setdefault(rank // each, []).append(rank % each)
        questions = [(worker, ("ask", question, chosen, *arguments)) for worker, chosen in positions.items()]
        name = f"{question} {arguments[0]!r}" if arguments else question
        answers = self._pool.ask(questions, f"asked for {name}")
        streams = {worker: iter(answer) for worker, answer in zip(positions, answers, strict=True)}
        return [next(streams[rank // each]) for rank in ranks]

    def _check_idle(self, question: str) -> None:
        if self._is_stepping:
            raise RuntimeError(f"{question} between step_async() and step_wait(): the environments are stepping")

    def _truncate_replaced(self, infos: list[dict[str, Any]]) -> None:
        for index, reset_infos in self._pool.replaced.items():
            ranks = self._pool.handles[index].ranks
            chosen = slice(ranks.start, ranks.stop)
            self._arrays.rewards[chosen], self._arrays.dones[chosen] = 0.0, True
            self.reset_infos[chosen] = reset_infos
            for rank in ranks:
                last = [array[rank].copy() for array in self._last_observations]
                terminal = dict_to_obs(self.observation_space, dict(zip(self._keys, last, strict=True)))
                infos[rank] = {"TimeLimit.truncated": True, "terminal_observation": terminal}
        self._pool.replaced.clear()

    def _copy_observations(self) -> VecEnvObs:
        self._last_observations = [array.copy() for array in self._arrays.observations]
        return dict_to_obs(self.observation_space, dict(zip(self._keys, self._last_observations, strict=True)))


def _choose_start_method(start_method: str | None) -> str:
    available = multiprocessing.get_all_start_methods()
    if start_method is None:
        return next(method for method in _SAFE_START_METHODS if method in available)
    if start_method not in available:
        raise ValueError(
            f"cannot find context for {start_method!r}: start_method must be one of {', '.join(sorted(available))}"
        )
    threads = psutil.Process().num_threads()
    if start_method == "fork" and threads > 1:
        warnings.warn(
            f"start_method='fork' in a process of {threads} threads may deadlock the workers, which inherit the "
            "threads' locks but not the threads; 'forkserver' is safe",
            RuntimeWarning,
            stacklevel=3,
        )
    return start_method
