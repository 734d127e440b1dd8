"""
All spaces of Gymnasium, odd ones too, with all algorithms, normalisation and frame stacks: each combination trains, or
is refused in one line under the key that is to be changed.

The verdicts are those of the tables below. That they hold is tried out: what fits learns some steps with a tiny
network, in an environment that accepts legal actions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_ext_envs.mock import MockEnv

from sb3_ext import ConfigError, train
from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, find_algorithms_for
from sb3_ext.building.fit import validate_setup
from sb3_ext.building.model import fill_config, make_model
from sb3_ext.building.training_environments import make_env
from sb3_ext.config import RunConfig, load_config
from sb3_ext.runs.paths import RunPaths

BOX = spaces.Box(-1.0, 1.0, (2,))
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
SMALL_IMAGE = spaces.Box(0, 255, (8, 8, 3), np.uint8)

OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "box": BOX,
    "box_float64": spaces.Box(-1.0, 1.0, (3,), np.float64),
    "box_float16": spaces.Box(-1.0, 1.0, (3,), np.float16),
    "box_unbounded": spaces.Box(-np.inf, np.inf, (3,)),
    "box_int64": spaces.Box(0, 9, (3,), np.int64),
    "box_uint8": spaces.Box(0, 255, (3,), np.uint8),
    "box_bool": spaces.Box(0, 1, (3,), bool),  # type: ignore[arg-type]
    "box_0d": spaces.Box(-1.0, 1.0, ()),
    "box_2d": spaces.Box(-1.0, 1.0, (3, 4)),
    "box_4d": spaces.Box(0, 255, (2, 3, 3, 3), np.uint8),
    "box_empty": spaces.Box(-1.0, 1.0, (0,)),
    "discrete": spaces.Discrete(3),
    "discrete_from_1": spaces.Discrete(3, start=1),
    "discrete_from_-2": spaces.Discrete(3, start=-2),
    "discrete_of_one": spaces.Discrete(1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_discrete_from_1": spaces.MultiDiscrete([2, 3], start=[1, 1]),
    "multi_discrete_2d": spaces.MultiDiscrete([[2, 3], [4, 5]]),
    "multi_binary": spaces.MultiBinary(3),
    "multi_binary_2d": spaces.MultiBinary((2, 3)),
    "text": spaces.Text(5),
    "sequence": spaces.Sequence(BOX),
    "graph": spaces.Graph(BOX, None),
    "one_of": spaces.OneOf([spaces.Discrete(2), BOX]),
    "tuple": spaces.Tuple([spaces.Discrete(2, start=1), BOX]),
    "tuple_nested": spaces.Tuple([spaces.Tuple([BOX, spaces.Discrete(2)]), spaces.Dict({"a": BOX})]),
    "tuple_sequence": spaces.Tuple([BOX, spaces.Sequence(BOX)]),
    "dict": spaces.Dict({"b": BOX, "a": spaces.Discrete(3)}),
    "dict_box": spaces.Dict({"a": BOX, "b": spaces.Box(-1.0, 1.0, (3, 2))}),
    "dict_nested": spaces.Dict({"a": spaces.Dict({"b": BOX, "c": spaces.Discrete(2, start=3)}), "d": BOX}),
    "dict_odd": spaces.Dict({"a": spaces.Discrete(3, start=5), "b": spaces.Box(-1.0, 1.0, ())}),
    "dict_multi_discrete": spaces.Dict({"a": spaces.MultiDiscrete([[2, 3], [2, 2]])}),
    "dict_text": spaces.Dict({"a": BOX, "b": spaces.Text(5)}),
    "dict_reserved": spaces.Dict({"type": BOX}),
    "dict_empty": spaces.Dict({}),
    "dict_image": spaces.Dict({"a": IMAGE, "b": BOX}),
    "dict_small_image": spaces.Dict({"a": SMALL_IMAGE, "b": BOX}),
    "dict_mixed_images": spaces.Dict({"a": IMAGE, "b": spaces.Box(0, 255, (3, 36, 36), np.uint8)}),
    "image": IMAGE,
    "image_channels_first": spaces.Box(0, 255, (3, 36, 36), np.uint8),
    "image_oblong": spaces.Box(0, 255, (36, 40, 2), np.uint8),
    "image_small": SMALL_IMAGE,
    "image_channels_middle": spaces.Box(0, 255, (40, 3, 50), np.uint8),
    "image_float": spaces.Box(0.0, 1.0, (36, 36, 3)),
    "image_dark": spaces.Box(0, 7, (36, 36, 3), np.uint8),
    "image_2d": spaces.Box(0, 255, (36, 36), np.uint8),
}
UNREADABLE = {
    "box_empty", "text", "sequence", "graph", "one_of", "tuple_sequence", "dict_text", "dict_reserved", "dict_empty",
    "dict_mixed_images", "image_channels_middle",
}  # fmt: skip
MLP_ONLY = {"ars", "crossq"}
LARGE_IMAGES = {"image", "image_channels_first", "image_oblong"}
MULTI_DISCRETE = {"multi_discrete", "multi_discrete_from_1", "multi_discrete_2d", "dict_multi_discrete"}
ONLY_BOXES = {name for name in OBSERVATIONS if name.startswith(("box", "image"))} | {"dict_box", "dict_image"}

ACTIONS: dict[str, spaces.Space[Any]] = {
    "box": BOX,
    "box_float64": spaces.Box(-1.0, 1.0, (2,), np.float64),
    "box_wide": spaces.Box(-3.0, 5.0, (2,)),
    "box_int64": spaces.Box(-2, 9, (2,), np.int64),
    "box_uint8": spaces.Box(0, 255, (2,), np.uint8),
    "box_bool": spaces.Box(0, 1, (2,), bool),  # type: ignore[arg-type]
    "box_0d": spaces.Box(-1.0, 1.0, ()),
    "box_2d": spaces.Box(-1.0, 1.0, (2, 2)),
    "box_unbounded": spaces.Box(-np.inf, np.inf, (2,)),
    "box_half_bounded": spaces.Box(0.0, np.inf, (2,)),
    "box_huge": spaces.Box(-3.4e38, 3.4e38, (2,)),
    "box_point": spaces.Box(np.array([0.0, -1.0], np.float32), np.array([0.0, 1.0], np.float32)),
    "box_empty": spaces.Box(-1.0, 1.0, (0,)),
    "discrete": spaces.Discrete(3),
    "discrete_from_1": spaces.Discrete(3, start=1),
    "discrete_from_-2": spaces.Discrete(3, start=-2),
    "discrete_of_one": spaces.Discrete(1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_discrete_from_1": spaces.MultiDiscrete([2, 3], start=[1, 1]),
    "multi_discrete_2d": spaces.MultiDiscrete([[2, 3], [4, 5]]),
    "multi_binary": spaces.MultiBinary(3),
    "multi_binary_2d": spaces.MultiBinary((2, 3)),
    "text": spaces.Text(5),
    "sequence": spaces.Sequence(BOX),
    "graph": spaces.Graph(BOX, None),
    "one_of": spaces.OneOf([spaces.Discrete(2), spaces.Discrete(2)]),
    "tuple": spaces.Tuple([spaces.Discrete(2), BOX]),
    "dict": spaces.Dict({"a": spaces.Discrete(2)}),
}
UNBOUNDED = {"box_unbounded", "box_half_bounded", "box_huge", "box_empty"}


class StrictEnv(MockEnv):
    """Noise with spaces from the tables; an illegal action is an error."""

    def __init__(self, observation: str, action: str, has_action_masks: bool = False) -> None:
        super().__init__(OBSERVATIONS[observation], ACTIONS[action], has_action_masks=has_action_masks)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            action = np.int64(action)
        if isinstance(space, spaces.Box) and space.dtype.kind == "f":
            action = np.asarray(action, space.dtype)  # SB3's are float32
        assert space.contains(action), action
        return super().step(action)


@pytest.fixture(autouse=True)
def strict_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Strict-v0", entry_point=StrictEnv, disable_env_checker=True)
    yield
    del gymnasium.registry["Strict-v0"]


def make_config(algorithm: str, observation: str = "box", action: str | None = None, **env: Any) -> RunConfig:
    spec = ALGORITHMS[algorithm]
    if action is None:
        action = "discrete" if "Discrete" in spec.action_spaces else "box"
    has_masks = spec.needs_action_masks and type(ACTIONS[action]).__name__ in spec.action_spaces
    params: dict[str, Any] = {"policy_kwargs": {"net_arch": [4]}}
    if algorithm == "ars":
        params = {"n_delta": 1, "n_eval_episodes": 1}
    elif spec.is_off_policy:
        params |= {"learning_starts": 8, "batch_size": 4, "buffer_size": 32}
    else:
        params |= {"n_steps": 8}
    if algorithm in ("ppo", "maskable_ppo", "recurrent_ppo"):
        params |= {"batch_size": 4, "n_epochs": 1}
    elif algorithm == "trpo":
        params |= {"batch_size": 4}
    if algorithm == "recurrent_ppo":
        params["policy_kwargs"] |= {"lstm_hidden_size": 4}
    env_params = {"observation": observation, "action": action, "has_action_masks": has_masks}
    return load_config(
        {
            "seed": 1,
            "env": {"id": "Strict-v0", "params": env_params, "max_steps": 20, **env},
            "parallel": {"mode": "sequential"},
            "agent": {"id": algorithm, "threads": 1, "device": "cpu", "params": params},
        }
    )


def try_out(config: RunConfig, refusal: str | None, *, learns: bool = True) -> None:
    """
    :param config: of an environment with spaces from the tables
    :param refusal: the key under which it is refused; ``None`` if it trains
    :param learns: whether it does train now
    """
    if refusal is not None:
        with pytest.raises(ConfigError, match=rf"^{refusal}: ") as caught:
            validate_setup(config)
        assert "\n" not in str(caught.value)
        return
    validate_setup(config)
    if learns:
        env = make_env(config, RunPaths(Path("run").absolute()))
        model = make_model(config, env)
        model.learn(12)
        env.close()
        weights = model.policy.state_dict().values()
        assert all(torch.isfinite(weight).all() for weight in weights if weight.is_floating_point())


def judge_observation(algorithm: str, observation: str) -> str | None:
    if observation in UNREADABLE:
        return "env.id"
    if algorithm in MLP_ONLY and observation.startswith(("dict", "tuple")):
        return "agent.id"
    if algorithm in MLP_ONLY and observation in LARGE_IMAGES:
        return "agent.policy"
    if algorithm == "recurrent_ppo" and observation in MULTI_DISCRETE:
        return "agent.id"
    return "env.id" if observation == "dict_small_image" else None


def judge_action(algorithm: str, action: str) -> str | None:
    spec, kind = ALGORITHMS[algorithm], type(ACTIONS[action]).__name__
    if not find_algorithms_for(kind):
        return "env.id"
    if kind not in spec.action_spaces:
        return "agent.id"
    if action in UNBOUNDED:
        return "env.id"
    return "agent.id" if action == "box_point" and spec.is_off_policy else None


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_every_observation(observation: str) -> None:
    for algorithm in ALGORITHMS:
        learns = algorithm == "ppo"
        try_out(make_config(algorithm, observation), judge_observation(algorithm, observation), learns=learns)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action(action: str) -> None:
    able = [algorithm for algorithm in ALGORITHMS if judge_action(algorithm, action) is None]
    for algorithm in ALGORITHMS:
        refusal = judge_action(algorithm, action)
        try_out(make_config(algorithm, action=action), refusal, learns=algorithm in (*able[:1], *able[-1:]))


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_every_observation_normalised_and_stacked(observation: str) -> None:
    refusal = judge_observation("ppo", observation)
    if refusal is None or observation == "dict_small_image":
        can_be_stacked = observation in ONLY_BOXES or observation == "dict_small_image"
        stacked = refusal if can_be_stacked else "env.frame_stack"
    else:
        stacked = refusal
    try_out(make_config("ppo", observation, normalize=True), refusal)
    try_out(make_config("ppo", observation, frame_stack=2), stacked, learns=False)
    try_out(make_config("ppo", observation, normalize=True, frame_stack=2), stacked)


@pytest.mark.parametrize("observation", ["dict_image", "image", "tuple"])
def test_an_off_policy_algorithm_with_normalisation(observation: str) -> None:
    try_out(make_config("dqn", observation, normalize=True), None)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if ALGORITHMS[name].is_off_policy])
def test_an_off_policy_algorithm_with_normalisation_and_a_discrete_observation_is_refused(algorithm: str) -> None:
    config = make_config(algorithm, "discrete", normalize={"norm_obs": False})
    message = rf"^env\.normalize: {algorithm} cannot be trained with VecNormalize on observations in Discrete\(3\), not"
    with pytest.raises(ConfigError, match=message):
        validate_setup(config)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_configurations_that_are_valid_train(algorithm: str) -> None:
    for observation in OBSERVATIONS:
        refusal = judge_observation(algorithm, observation)
        try_out(make_config(algorithm, observation), refusal)
        if refusal is None:
            is_stackable = observation in ONLY_BOXES
            is_number = isinstance(OBSERVATIONS[observation], spaces.Discrete) and ALGORITHMS[algorithm].is_off_policy
            for env in ({"normalize": True}, {"frame_stack": 2}, {"normalize": True, "frame_stack": 2}):
                refused = "env.normalize" if is_number else None
                if "frame_stack" in env and not is_stackable:
                    refused = "env.frame_stack"
                try_out(make_config(algorithm, observation, **env), refused)
    for action in ACTIONS:
        try_out(make_config(algorithm, action=action), judge_action(algorithm, action))


@pytest.mark.parametrize(
    ("observation", "setting", "norm_obs", "keys"),
    [
        ("box", True, True, None),
        ("discrete", True, False, None),
        ("image", True, False, None),
        ("image_float", True, True, None),
        ("dict", True, True, ["b"]),
        ("dict_image", {"clip_obs": 5.0}, True, ["b"]),
        ("dict_image", {"norm_obs": True}, True, ["a", "b"]),
        ("dict_box", {"norm_obs_keys": ["b"]}, True, ["b"]),
        ("dict_box", {"norm_obs": False}, False, None),
        ("tuple", True, True, ["1"]),
    ],
)
def test_the_resolved_configuration_has_what_is_normalised(
    observation: str, setting: Any, norm_obs: bool, keys: list[str] | None
) -> None:
    config = make_config("ppo", observation, normalize=setting)
    env = make_env(config, RunPaths(Path("run").absolute()))
    filled = fill_config(config, make_model(config, env))
    env.close()
    assert filled.env is not None
    assert isinstance(filled.env.normalize, dict)
    assert (filled.env.normalize["norm_obs"], filled.env.normalize["norm_obs_keys"]) == (norm_obs, keys)
    if isinstance(setting, dict):
        assert filled.env.normalize.items() >= {k: v for k, v in setting.items() if k != "norm_obs_keys"}.items()
    validate_setup(filled)


@pytest.mark.parametrize(
    ("observation", "setting", "message"),
    [
        (
            "discrete",
            {"norm_obs": True},
            r"env\.normalize\.norm_obs: observations are Discrete\(3\), which VecNormalize",
        ),
        ("dict", {"norm_obs_keys": ["a"]}, r"env\.normalize\.norm_obs_keys: part 'a' of observations is Discrete\(3\)"),
        ("dict", {"norm_obs_keys": ["c"]}, r"env\.normalize\.norm_obs_keys: observations have no part 'c'; they have"),
        ("box", {"norm_obs_keys": ["c"]}, r"env\.normalize\.norm_obs_keys: is for Dict observations, but they are Box"),
    ],
)
def test_what_cannot_be_normalised_is_refused(observation: str, setting: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        validate_setup(make_config("ppo", observation, normalize=setting))


def test_too_many_frames_of_an_image_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^env\.frame_stack: 13 frames of Box.* have more channels than"):
        validate_setup(make_config("ppo", "image", frame_stack=13))


@pytest.mark.parametrize(
    ("observation", "policy", "refusal"),
    [
        ("dict", "MlpPolicy", "MlpPolicy does not fit observations in Dict.*, but MultiInputPolicy does"),
        ("box", "MultiInputPolicy", "MultiInputPolicy does not fit observations in Box.*, but MlpPolicy does"),
        ("box", "CnnPolicy", "CnnPolicy needs images"),
        ("image_small", "CnnPolicy", "CnnPolicy: the image is of 8x8, but SB3's network for images needs 36x36"),
        ("image_small", "MlpPolicy", None),
        ("image", "MlpPolicy", None),
    ],
)
def test_a_policy_that_does_not_fit_the_observations_is_refused(
    observation: str, policy: str, refusal: str | None
) -> None:
    config = make_config("ppo", observation)
    config = config.model_copy(update={"agent": config.agent.model_copy(update={"policy": policy})})
    if refusal is None:
        validate_setup(config)
    else:
        with pytest.raises(ConfigError, match=rf"^agent\.policy: {refusal}"):
            validate_setup(config)


@pytest.mark.parametrize("extra", [{"train": {"total_steps": 8}}, {"parallel": {"mode": "workers", "num_envs": 2}}])
def test_a_refusal_names_file_and_line_before_anything_is_made(
    extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_ext.training.start.RunSession.create", lambda *_, **__: pytest.fail("a run is made"))
    Path("my.yaml").write_text(
        "env:\n  id: Strict-v0\n  frame_stack: 2\n  params: {observation: discrete, action: discrete}\n"
        "agent: {id: ppo}\n"
    )
    overrides = [f"{section}={values}".replace("'", "") for section, values in extra.items()]
    with pytest.raises(ConfigError, match=r"^my\.yaml:3: env\.frame_stack: observations are Discrete\(3\)"):
        train("my.yaml", run_dir="run", overrides=overrides)
    with pytest.raises(ConfigError, match=r"^--set: agent\.id: sac acts in Box spaces"):
        train("my.yaml", run_dir="run", overrides=["agent.id=sac", "env.frame_stack=null"])


def test_a_game_that_does_not_fit_the_algorithm_is_refused() -> None:
    game = {"game": {"id": "connect4"}, "train": {"opponent_sampler": {"type": "random"}}}
    validate_setup(load_config({**game, "agent": {"id": "dqn"}}))
    with pytest.raises(ConfigError, match=r"^agent\.id: sac acts in Box spaces"):
        validate_setup(load_config({**game, "agent": {"id": "sac"}}))


def test_an_environment_that_cannot_be_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the simulator is gone")

    monkeypatch.setattr(StrictEnv, "__init__", fail)
    with pytest.raises(ConfigError, match=r"^env\.id: 'Strict-v0' cannot be made: RuntimeError: the simulator is gone"):
        validate_setup(make_config("ppo"))
