"""The picklable function that makes one environment with its wrappers."""

from __future__ import annotations

import pickle
import sys

import gymnasium
import pytest

from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError, MissingExtraError
from sb3_ext.vec.environment_factory import EnvironmentFactory


def test_a_pickled_factory_makes_all_wrappers() -> None:
    wrappers = [("gymnasium.wrappers.TimeAwareObservation", {}), ("gymnasium.wrappers:ClipReward", {"max_reward": 0.5})]
    factory = EnvironmentFactory("CartPole-v1", {"sutton_barto_reward": False}, 7, wrappers, "rgb_array")
    env = pickle.loads(pickle.dumps(factory))()
    env.reset(seed=1)
    steps = [env.step(env.action_space.sample()) for _ in range(7)]
    assert steps[-1][3]
    assert {step[1] for step in steps} == {0.5}
    assert env.observation_space.shape == (5,)
    assert env.render_mode == "rgb_array"


@pytest.mark.parametrize(
    ("env_id", "modules", "extra"),
    [("LunarLander-v3", ["Box2D"], "box2d"), ("InvertedPendulum-v5", ["mujoco"], "mujoco")],
)
def test_the_error_of_a_missing_extra_has_the_command_that_installs_it(
    env_id: str, modules: list[str], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    for loaded in [name for name in sys.modules if name.startswith(("gymnasium.envs.box2d", "gymnasium.envs.mujoco"))]:
        monkeypatch.delitem(sys.modules, loaded)
    line = rf"pip install 'sb3-ext\[{extra}\]'"
    with pytest.raises(MissingExtraError, match=line):
        EnvironmentFactory(env_id)()
    with pytest.raises(ConfigError, match=line) as caught:
        load_config({"env": {"id": env_id}, "agent": {"id": "ppo"}})
    assert len(caught.value.problems) == 1


def test_refused_arguments_are_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"'CartPole-v1' cannot be made: .*colour"):
        EnvironmentFactory("CartPole-v1", {"colour": 1})()
    assert isinstance(EnvironmentFactory("CartPole-v1")(), gymnasium.Env)
