"""One process of ``exactness.py``: trains cases from their beginning or from where an earlier process left them."""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import sb3_contrib
import sb3_ext_envs  # noqa: F401 - registers its environments
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from exactness_ablations import ABLATIONS
from exactness_cases import MODES, OBSERVATIONS, PARAMETERS, Case, list_all_cases
from sb3_ext.checkpoints.bundle.bundle import verify_bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.checkpoints.restoration import restore_model
from sb3_ext.checkpoints.state.training_state import (
    CapturedState,
    capture_state,
    restore_at_boundary,
    restore_before_learn,
)
from sb3_ext.internals.torch import defer_compiler
from sb3_ext.vec.backends.parallel_modes import make_backend

TOTAL_STEPS = 300
CASES = {case.name: case for mode in (None, *MODES) for case in list_all_cases(mode)}


class HistoryCallback(BaseCallback, KVWriter):
    """Keeps all logged values but times, across resumes."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = list(state["rows"])

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        values = {name: float(value).hex() for name, value in sorted(key_values.items()) if "time/" not in name}
        self.rows.append({"step": step, **values})

    def close(self) -> None:
        pass

    def _on_step(self) -> bool:
        return True


class BoundaryCallback(BaseCallback):
    """
    Restores at the first boundary, and saves at the first one from a given step on, where the process then ends.

    :param folder: where to save
    :param stop_step: ``None`` for training to the end
    :param captures: capture at every boundary, for nothing
    :param resumed: what to restore
    :param spoil: undoes a part of the restore
    """

    def __init__(
        self,
        folder: Path,
        stop_step: int | None,
        captures: bool,
        resumed: CapturedState | None,
        spoil: Callable[[Any], None] | None,
    ) -> None:
        super().__init__()
        self.folder, self.stop_step, self.captures = folder, stop_step, captures
        self.resumed, self.spoil = resumed, spoil
        self.callbacks: list[BaseCallback] = []
        self.stopped = False

    def _on_rollout_start(self) -> None:
        if self.resumed is not None:
            restore_at_boundary(self.model, self.resumed, self.callbacks)
            self.resumed = None
            if self.spoil is not None:
                self.spoil(self.model)
        elif self.stop_step is not None and self.num_timesteps >= self.stop_step:
            save(self.model, capture_state(self.model, self.callbacks), self.folder)
            self.stopped = True
        elif self.captures:
            capture_state(self.model, self.callbacks)

    def _on_step(self) -> bool:
        return not self.stopped


def make_env(case: Case, folder: Path, resumed: bool) -> VecEnv:
    """:return: the case's environments"""

    def make_one() -> gymnasium.Env[Any, Any]:
        arguments: dict[str, Any] = {"max_episode_steps": 40} if case.env == "Pendulum-v1" else {}
        if case.observations is not None:
            arguments["observation_space"] = OBSERVATIONS[case.observations]
        if case.algorithm == "MaskablePPO":
            arguments["has_action_masks"] = True
        return gymnasium.make(case.env, **arguments)

    workers = {"num_workers": max(1, case.n_envs // 2)} if case.mode == "workers" else {}
    backend: Any = make_backend(case.mode, case.n_envs, workers)
    env: VecEnv = make_vec_env(
        make_one,
        case.n_envs,
        seed=5,
        monitor_dir=str(folder / "monitor"),
        monitor_kwargs={"override_existing": not resumed},
        vec_env_cls=backend.combine,
    )
    if case.frame_stack is not None:
        env = VecFrameStack(env, case.frame_stack)
    return VecNormalize(env) if case.normalize else env


def make_model(case: Case, env: VecEnv) -> BaseAlgorithm:
    """:return: the case's model, at its beginning"""
    algorithm = getattr(stable_baselines3, case.algorithm, None) or getattr(sb3_contrib, case.algorithm)
    parameters = copy.deepcopy({**PARAMETERS[case.algorithm], **case.parameters})  # SB3 adds to policy_kwargs
    if case.gsde:
        parameters["use_sde"] = True
    if case.noise is not None:
        kind = NormalActionNoise if case.noise == "normal" else OrnsteinUhlenbeckActionNoise
        shape = env.action_space.shape
        parameters["action_noise"] = kind(np.zeros(shape), np.full(shape, 0.3))
    if case.hindsight:
        parameters["replay_buffer_class"] = HerReplayBuffer
    if case.observations == "images":
        parameters["policy_kwargs"]["features_extractor_kwargs"] = {"features_dim": 8}
    prefix = "MultiInput" if isinstance(env.observation_space, spaces.Dict) else "Cnn" if case.observations else "Mlp"
    policy = "LstmPolicy" if case.algorithm == "RecurrentPPO" else "Policy"
    return algorithm(prefix + policy, env, **parameters)


def save(model: BaseAlgorithm, state: CapturedState, folder: Path) -> None:
    """Write a checkpoint."""
    exactness = state.exactness
    if not exactness.exact:
        raise SystemExit(f"not exact: {exactness.reason}")
    write_bundle(folder / f"step_{model.num_timesteps}", capture_content(model, state=state))


def load(case: Case, env: VecEnv, path: Path) -> tuple[BaseAlgorithm, CapturedState]:
    """:return: a model that stands before its first boundary, and what is to be restored there"""
    bundle = verify_bundle(path)
    model = make_model(case, env)
    if case.loaded:
        model = type(model).load(bundle.model_path, env=env, device="cpu")
    restore_model(model, bundle)
    state = bundle.read_state()
    restore_before_learn(model, state)
    return model, state


def train_part(
    case: Case,
    folder: Path,
    stop_step: int | None = None,
    captures: bool = True,
    spoil: Callable[[Any], None] | None = None,
) -> str | None:
    """
    Train one case in this process.

    :param case: what to train
    :param folder: the case's own; goes on from the newest checkpoint in it
    :param stop_step: where to save and stop, ``None`` for the end
    :param captures: capture at every boundary, for nothing
    :param spoil: undoes a part of the restore
    :return: the digest of the trained model, ``None`` if it was stopped
    """
    checkpoints = sorted(folder.glob("step_*"), key=lambda path: int(path.name.removeprefix("step_")))
    env = make_env(case, folder, resumed=bool(checkpoints))
    model, state = load(case, env, checkpoints[-1]) if checkpoints else (make_model(case, env), None)
    history, boundary = HistoryCallback(), BoundaryCallback(folder, stop_step, captures, state, spoil)
    boundary.callbacks = [history, boundary]
    model.set_logger(Logger(folder=None, output_formats=[history]))
    if state is not None:
        disturb_generators()
    remaining = TOTAL_STEPS - model.num_timesteps
    model.learn(remaining, boundary.callbacks, log_interval=1, reset_num_timesteps=state is None)
    digest = None if boundary.stopped else digest_training(model, history, folder)
    env.close()
    return digest


def disturb_generators() -> None:
    """What a program does between loading a model and training it."""
    np.random.random(7)
    torch.rand(5)
    random.random()


def digest_training(model: BaseAlgorithm, history: HistoryCallback, folder: Path) -> str:
    """:return: sha256 over everything that the training has brought about"""
    state = capture_state(model, [history])
    digest = hashlib.sha256()
    normalize = model.get_vec_normalize_env()
    statistics = {} if normalize is None else capture_normalization(normalize)
    for part in (model.get_parameters(), state.arrays, statistics, list_replay(model), list_episodes(model, folder)):
        for item in flatten(part):
            digest.update(item)
    for name in ("elapsed_seconds", "monitor_sizes_bytes"):
        state.values.pop(name, None)
    state.values["algorithm"].pop("elapsed_seconds")
    digest.update(json.dumps(state.values, sort_keys=True).encode())
    return digest.hexdigest()


def list_replay(model: Any) -> dict[str, Any]:
    """:return: the contents of the replay buffer"""
    if not hasattr(model, "replay_buffer"):
        return {}
    contents = {name: value for name, value in vars(model.replay_buffer).items() if name != "infos"}
    return {name: value for name, value in contents.items() if isinstance(value, np.ndarray | int | dict)}


def list_episodes(model: BaseAlgorithm, folder: Path) -> list[Any]:
    """:return: the episodes in memory and in Monitor's files, without their times"""
    rows = [path.read_text().splitlines()[1:] for path in sorted((folder / "monitor").iterdir())]
    return [
        [(info["r"], info["l"]) for info in model.ep_info_buffer],
        [[row.split(",")[:2] for row in file] for file in rows],
    ]


def flatten(value: Any) -> Iterator[bytes]:
    """:return: the bytes of nested containers of tensors, arrays and plain values"""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from flatten(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)
    elif isinstance(value, torch.Tensor):
        yield value.detach().numpy().tobytes()
    else:
        yield value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()


def train_whole(names: list[str], folder: Path) -> dict[str, Any]:
    """:return: the digests of trainings without interruption, in which nothing is ever captured"""
    return {"whole": {name: train_part(CASES[name], folder / "whole" / name, captures=False) for name in names}}


def train_to_stop(names: list[str], folder: Path, stop_step: int) -> dict[str, Any]:
    """:return: nothing: trainings that stop at a checkpoint have no digest"""
    for name in names:
        train_part(CASES[name], folder / "interrupted" / name, stop_step)
    return {}


def train_to_end(names: list[str], folder: Path, with_ablations: bool) -> dict[str, Any]:
    """:return: the digests of resumed trainings, and of the same with a part of the restore undone"""
    interrupted = folder / "interrupted"
    ablations = {name: pair for name, pair in ABLATIONS.items() if with_ablations and pair[0].name in names}
    return {
        "spoiled": {
            name: train_part(case, interrupted / case.name, spoil=spoil) for name, (case, spoil) in ablations.items()
        },
        "resumed": {name: train_part(CASES[name], interrupted / name) for name in names},
    }


def main() -> None:
    """Train the cases whose names are read from the standard input, and print the digests as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("whole-and-to-stop", "to-stop", "to-end"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stop-step", type=int)
    parser.add_argument("--ablations", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    defer_compiler()
    multiprocessing.set_forkserver_preload(["exactness_parts", "sb3_ext.vec.workers.worker_loop"])
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the server that forks workers has not sys.path
    names = sys.stdin.read().split()
    if arguments.part == "whole-and-to-stop":
        digests = train_whole(names, arguments.folder)
        train_to_stop(names, arguments.folder, arguments.stop_step)
    elif arguments.part == "to-stop":
        digests = train_to_stop(names, arguments.folder, arguments.stop_step)
    else:
        digests = train_to_end(names, arguments.folder, arguments.ablations)
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
