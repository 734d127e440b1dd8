"""PPO on four environments, as in SB3's quick start."""

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

env = make_vec_env("CartPole-v1", n_envs=4, seed=3)
model = PPO("MlpPolicy", env, n_steps=128, n_epochs=4, seed=3, device="cpu")
model.learn(10_240)
model.save("agent")
