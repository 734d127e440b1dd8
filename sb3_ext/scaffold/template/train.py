"""
Train with plain Stable-Baselines3 and the callbacks of sb3-ext.

After Ctrl+C or a kill, the same command continues from the last checkpoint. ``sb3-ext train my_project.yaml`` trains
the same agent without a script.
"""

import argparse

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule

import my_project  # noqa: F401 - registers the environment
from sb3_ext.callbacks import ProgressCallback, RunCheckpointCallback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--total-steps", type=int, default=20_000, metavar="N")
    total_steps = parser.parse_args().total_steps

    torch.set_num_threads(1)  # faster than several for so small a network
    env = make_vec_env("MyProject-v0", n_envs=8, seed=1)
    rate = LinearSchedule(start=1e-3, end=0.0, end_fraction=1.0)
    network = {"net_arch": [32, 32]}
    model = PPO("MlpPolicy", env, rate, n_steps=64, batch_size=128, policy_kwargs=network, seed=1)
    checkpoints = RunCheckpointCallback("checkpoints", interval=5_000)  # must be the last callback
    remaining_steps = checkpoints.resume_if_possible(model, total_timesteps=total_steps)
    model.learn(remaining_steps, callback=[ProgressCallback(), checkpoints], reset_num_timesteps=False)

    mean, deviation = evaluate_policy(model, make_vec_env("MyProject-v0", n_envs=1, seed=2), n_eval_episodes=20)
    print(f"step {model.num_timesteps}: mean return {mean:.2f} ± {deviation:.2f}")


if __name__ == "__main__":
    main()
