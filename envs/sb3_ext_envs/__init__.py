"""Environments, registered with Gymnasium on import."""

from __future__ import annotations

import sys

import gymnasium

from sb3_ext_envs.procgen_games import GAMES, explain_unknown_game, name_environment

# SB3 imports the old gym, which Procgen brings along, and gym's only use of this module is to print a banner.
sys.modules.setdefault("gym_notices", None)  # type: ignore[arg-type]

gymnasium.register(id="sb3_ext/Mock-v0", entry_point="sb3_ext_envs.mock:MockEnv")
gymnasium.register(id="sb3_ext/Connect4-v0", entry_point="sb3_ext_envs.connect4.env:Connect4Env")
for _game in GAMES:
    gymnasium.register(
        id=name_environment(_game), entry_point="sb3_ext_envs.procgen:ProcgenEnv", kwargs={"game": _game}
    )


def explain_unknown_environment(env_id: str) -> str | None:
    """
    :param env_id: an id that Gymnasium does not know
    :return: what to write instead, if it looks like one of the environments of this package; ``None`` for any other
    """
    return explain_unknown_game(env_id)
