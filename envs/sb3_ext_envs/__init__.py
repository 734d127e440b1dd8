"""Environments, registered with Gymnasium on import."""

from __future__ import annotations

import gymnasium

gymnasium.register(id="sb3_ext/Mock-v0", entry_point="sb3_ext_envs.mock:MockEnv")
