"""Two-player games: a seat for the agent, and opponents for the other one. Importing this loads no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sb3_ext.selfplay.frozen import freeze_model, load_opponent
    from sb3_ext.selfplay.game_registry import make_game
    from sb3_ext.selfplay.matches import play_match
    from sb3_ext.selfplay.opponent_registry import make_opponent
    from sb3_ext.selfplay.pool import OpponentPool
    from sb3_ext.selfplay.seat import SelfPlayVecEnv

_MODULES = {
    "OpponentPool": "pool",
    "SelfPlayVecEnv": "seat",
    "freeze_model": "frozen",
    "load_opponent": "frozen",
    "make_game": "game_registry",
    "make_opponent": "opponent_registry",
    "play_match": "matches",
}

__all__ = [
    "OpponentPool",
    "SelfPlayVecEnv",
    "freeze_model",
    "load_opponent",
    "make_game",
    "make_opponent",
    "play_match",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sb3_ext.selfplay' has no attribute '{name}'")
    return getattr(import_module(f"sb3_ext.selfplay.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
