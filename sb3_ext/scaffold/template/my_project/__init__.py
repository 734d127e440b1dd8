"""Importing this package registers its environment."""

import gymnasium

from my_project.environment import MyProjectEnv

__all__ = ["MyProjectEnv"]

gymnasium.register("MyProject-v0", entry_point=MyProjectEnv, max_episode_steps=100)
