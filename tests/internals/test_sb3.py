"""What sb3_ext.internals.sb3 relies on in Stable-Baselines3 and SB3-Contrib."""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import ARS, QRDQN, RecurrentPPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3 import DQN, PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize, VecTransposeImage
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_ext.internals import sb3


@pytest.fixture(scope="module")
def ppo() -> PPO:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=4, batch_size=4, n_epochs=2, policy_kwargs={"net_arch": [4]})
    model.learn(8)
    return model


def test_torch_names_are_those_of_a_stock_save(ppo: PPO) -> None:
    assert sb3.get_torch_names(ppo) == (["policy", "policy.optimizer"], [])
    sac = SAC("MlpPolicy", "Pendulum-v1", buffer_size=10, policy_kwargs={"net_arch": [4]})
    assert sb3.get_torch_names(sac)[1] == ["log_ent_coef"]


def test_unsaved_names_are_those_of_a_stock_save(ppo: PPO) -> None:
    assert {"env", "policy", "replay_buffer", "rollout_buffer", "_vec_normalize_env"} <= {*sb3.get_unsaved_names(ppo)}


def test_a_model_is_set_up_after_its_construction() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=4, batch_size=4, **{sb3.NO_SETUP_ARGUMENT: False})
    assert getattr(model, "policy", None) is None or isinstance(model.policy, str)
    sb3.set_up_model(model)
    assert isinstance(model.policy, ActorCriticPolicy)


@pytest.mark.parametrize("algorithm", [PPO, DQN, SAC, QRDQN, RecurrentPPO, ARS])
def test_every_constructor_has_the_argument_that_leaves_the_setup_out(algorithm: type[BaseAlgorithm]) -> None:
    assert sb3.NO_SETUP_ARGUMENT in inspect.signature(algorithm).parameters


def test_a_replaced_train_is_called_and_not_saved() -> None:
    ppo = PPO("MlpPolicy", "CartPole-v1", n_steps=4, batch_size=4, policy_kwargs={"net_arch": [4]})
    calls: list[int] = []
    unsaved = sb3.get_unsaved_names(ppo)
    with sb3.replacing_methods(ppo, {"train": lambda: calls.append(1)}):
        ppo.learn(8)
        assert {*sb3.get_unsaved_names(ppo)} == {*unsaved, "train", "_excluded_save_params"}
    assert calls
    assert sb3.get_unsaved_names(ppo) == unsaved
    assert "train" not in vars(ppo)


def test_learning_rates_and_updates_are_set_as_train_sets_them(ppo: PPO) -> None:
    sb3.update_learning_rate(ppo, ppo.policy.optimizer)
    assert ppo.policy.optimizer.param_groups[0]["lr"] == ppo.lr_schedule(sb3.get_progress_remaining(ppo))
    before = sb3.get_num_updates(ppo)
    sb3.add_updates(ppo, 3)
    assert sb3.get_num_updates(ppo) == before + 3
    sb3.add_updates(ppo, -3)


def test_policies_and_buffers_that_override_what_is_learned_from_are_noticed() -> None:
    class OwnPolicy(ActorCriticPolicy):
        def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
            return super().extract_features(obs, features_extractor)

    class OwnBuffer(RolloutBuffer):
        def _get_samples(self, batch_inds: Any, env: Any = None) -> Any:
            return super()._get_samples(batch_inds, env)

    space = gymnasium.spaces.Discrete(2)
    assert sb3.has_evaluation_of(ActorCriticPolicy, ActorCriticPolicy)
    assert not sb3.has_evaluation_of(OwnPolicy, ActorCriticPolicy)
    assert sb3.has_samples_of(RolloutBuffer(4, space, space), [RolloutBuffer])
    assert not sb3.has_samples_of(OwnBuffer(4, space, space), [RolloutBuffer])


def test_a_features_extractor_has_the_space_that_it_was_made_for(ppo: PPO) -> None:
    assert sb3.get_extracted_space(ppo.policy.features_extractor) is ppo.observation_space


@pytest.mark.parametrize("name", ["_predict", "predict_values", "get_distribution", "_get_action_dist_from_latent"])
def test_policies_that_compute_actions_in_their_own_way_are_noticed(ppo: PPO, name: str) -> None:
    class OwnPolicy(ActorCriticPolicy):
        pass

    assert sb3.computes_like(ppo.policy, ActorCriticPolicy)
    assert not sb3.computes_like(ppo.policy, DQNPolicy)
    policy = OwnPolicy(ppo.observation_space, ppo.action_space, lambda left: 0.0)
    assert sb3.computes_like(policy, ActorCriticPolicy)
    setattr(OwnPolicy, name, lambda *arguments: None)
    assert callable(getattr(ActorCriticPolicy, name))
    assert not sb3.computes_like(policy, ActorCriticPolicy)


def test_environments_are_wrapped_as_a_model_wraps_them() -> None:
    wrapped = sb3.wrap_env(gymnasium.make("CartPole-v1"))
    assert isinstance(wrapped, DummyVecEnv)
    assert wrapped.env_is_wrapped(Monitor) == [True]


def test_images_are_transposed_as_a_model_transposes_them() -> None:
    class Picture(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)

    assert isinstance(sb3.wrap_env(Picture()), VecTransposeImage)


def test_an_environment_of_gymnasium_is_left_as_it_is() -> None:
    env = gymnasium.make("CartPole-v1")
    assert sb3.patch_env(env) is env


def test_counters_say_how_far_training_is(ppo: PPO) -> None:
    counters = sb3.get_counters(ppo)
    assert counters["num_timesteps"] == sb3.get_total_steps(ppo) == 8
    assert counters["_current_progress_remaining"] == sb3.get_progress_remaining(ppo) == 0
    assert counters["_n_updates"] == sb3.get_num_updates(ppo) == 4
    assert {*counters} == {*sb3.COUNTERS} - {"_n_calls", "exploration_rate", "old_count"}


def test_dqn_and_ars_have_the_other_counters() -> None:
    dqn = DQN("MlpPolicy", "CartPole-v1", buffer_size=10)
    ars = ARS("LinearPolicy", "CartPole-v1")
    found = sb3.get_counters(dqn).keys() | sb3.get_counters(ars).keys()
    assert {"_n_calls", "exploration_rate", "old_count"} <= found
    assert sb3.get_num_updates(dqn) == 0


def test_counters_come_back(ppo: PPO) -> None:
    counters = sb3.get_counters(ppo)
    sb3.set_counters(ppo, {**counters, "num_timesteps": 5})
    assert ppo.num_timesteps == 5
    sb3.set_counters(ppo, counters)
    assert sb3.get_counters(ppo) == counters


def test_the_steps_at_the_start_set_the_frames_per_second() -> None:
    class StartLater(BaseCallback):
        def _on_training_start(self) -> None:
            sb3.set_steps_at_start(self.model, -1000)

        def _on_step(self) -> bool:
            return True

    model = PPO("MlpPolicy", "CartPole-v1", n_steps=4, batch_size=4)
    model.learn(4, callback=StartLater())
    assert sb3.get_counters(model)["_num_timesteps_at_start"] == -1000


def test_episode_statistics_keep_the_configured_window() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=4, batch_size=4, stats_window_size=2)
    sb3.set_episode_statistics(model, [{"r": 1}, {"r": 2}, {"r": 3}], [True])
    assert [*(model.ep_info_buffer or ())] == [{"r": 2}, {"r": 3}]
    assert [*(model.ep_success_buffer or ())] == [True]


@pytest.mark.parametrize("name", sb3.ROLLOUT_OBSERVATIONS)
def test_learn_continues_from_the_last_observations(ppo: PPO, name: str) -> None:
    assert hasattr(ppo, name)


def test_a_rollout_continues_from_new_episodes() -> None:
    venv = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    model = DQN("MlpPolicy", venv, buffer_size=10, learning_starts=10**6)
    model.learn(3)
    sb3.reset_environments(model)
    assert np.array_equal(model._last_obs, venv.normalize_obs(venv.get_original_obs()))  # type: ignore[arg-type]
    assert np.array_equal(model._last_original_obs, venv.get_original_obs())  # type: ignore[arg-type]


def test_recurrent_states_can_be_replaced(ppo: PPO) -> None:
    assert sb3.get_lstm_states(ppo) is None
    model = RecurrentPPO(
        "MlpLstmPolicy", "CartPole-v1", n_steps=4, batch_size=4, policy_kwargs={"lstm_hidden_size": 4, "net_arch": [4]}
    )
    states = sb3.get_lstm_states(model)
    changed = type(states)(*(tuple(torch.ones_like(tensor) for tensor in pair) for pair in states))
    sb3.set_lstm_states(model, changed)
    assert sb3.get_lstm_states(model) is changed


def test_open_episodes_of_a_hindsight_buffer_have_starts() -> None:
    venv = DummyVecEnv([lambda: BitFlippingEnv(n_bits=2, continuous=False)])
    model = DQN("MultiInputPolicy", venv, replay_buffer_class=HerReplayBuffer, buffer_size=20)
    assert isinstance(model.replay_buffer, HerReplayBuffer)
    assert sb3.get_open_episode_starts(model.replay_buffer).tolist() == [0]


def test_a_policy_with_another_action_distribution_is_told_apart() -> None:
    class Other(ActorCriticPolicy):
        def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
            return super()._get_action_dist_from_latent(latent_pi)

    assert sb3.has_action_distribution_of(ActorCriticPolicy, ActorCriticPolicy)
    assert sb3.has_action_distribution_of(MaskableActorCriticPolicy, MaskableActorCriticPolicy)
    assert not sb3.has_action_distribution_of(Other, ActorCriticPolicy)


@pytest.mark.parametrize("name", ["_reset_seeds", "_reset_options", "_get_indices"])
def test_vec_env_gives_these_to_its_subclasses(name: str) -> None:
    assert callable(getattr(VecEnv, name))


def test_vec_env_keeps_seeds_and_options_for_the_next_reset() -> None:
    venv = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    venv.seed(3)
    venv.set_options({"low": 0})
    assert venv._seeds == [3]
    assert venv._options == [{"low": 0}]


@pytest.mark.parametrize("name", ["_normalize_obs", "_normalize_reward", "_get_samples"])
def test_a_replay_buffer_gives_these_to_its_subclasses(name: str) -> None:
    assert callable(getattr(DictReplayBuffer, name))


def test_the_policy_of_dqn_gives_a_network_an_extractor_of_its_own() -> None:
    assert callable(DQNPolicy._update_features_extractor)


def test_actions_before_scaling_and_distributions_are_those_of_predict(ppo: PPO) -> None:
    observation = torch.zeros(1, *ppo.observation_space.shape or ())
    latent = ppo.policy.mlp_extractor.forward_actor(ppo.policy.extract_features(observation))
    chosen = sb3.make_action_distribution(ppo.policy, latent).get_actions(deterministic=True)

    assert torch.equal(sb3.choose_actions(ppo.policy, observation), chosen)
    assert ppo.predict(observation.numpy(), deterministic=True)[0] == chosen.numpy()
