"""SAC with normalised observations and rewards, an action noise, and SB3's own evaluations."""

import numpy as np
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecNormalize

env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=1, seed=5))
eval_env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=1, seed=6), training=False, norm_reward=False)
noise = NormalActionNoise(np.zeros(1), 0.1 * np.ones(1))
model = SAC("MlpPolicy", env, action_noise=noise, policy_kwargs={"net_arch": [32, 32]}, seed=5, device="cpu")
evaluation = EvalCallback(eval_env, n_eval_episodes=2, eval_freq=500, verbose=0)
model.learn(2_500, callback=evaluation)
model.save("agent")
env.save("vecnormalize.pkl")
