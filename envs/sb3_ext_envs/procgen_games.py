"""
Procgen's games and their options, validated without the library, which ends the process for invalid ones.

Cobbe et al. 2020, "Leveraging Procedural Generation to Benchmark Reinforcement Learning", arXiv:1912.01588.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

GAMES = (
    *("bigfish", "bossfight", "caveflyer", "chaser", "climber", "coinrun", "dodgeball", "fruitbot"),
    *("heist", "jumper", "leaper", "maze", "miner", "ninja", "plunder", "starpilot"),
)

# Found by trying every game in every mode with procgen 0.10.7.
_GAMES_OF_MODE = {
    "easy": GAMES,
    "hard": GAMES,
    "extreme": ("chaser", "dodgeball", "leaper", "starpilot"),
    "memory": ("caveflyer", "dodgeball", "heist", "jumper", "maze", "miner"),
    "exploration": ("caveflyer", "climber", "coinrun", "heist", "jumper", "leaper", "maze", "ninja"),
}
_MAX_LEVEL = 2**31 - 1

_PREFIX, _SUFFIX = "procgen-", "-v0"


def name_environment(game: str) -> str:
    """
    :param game: one of :data:`GAMES`
    :return: its Gymnasium id
    """
    return f"{_PREFIX}{game}{_SUFFIX}"


def explain_unknown_game(env_id: str) -> str | None:
    """
    :param env_id: an id that is not registered
    :return: a message that lists the games, if the id looks like one of Procgen; ``None`` for any other
    """
    if not env_id.startswith(_PREFIX):
        return None
    game = env_id.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    near = difflib.get_close_matches(game, GAMES, n=1)
    suggestion = f"did you mean '{name_environment(near[0])}'? It" if near else "it"
    names = ", ".join(GAMES)
    return f"unknown Procgen environment '{env_id}'; {suggestion} is '{name_environment('GAME')}' with GAME of: {names}"


class OptionError(ValueError):
    """
    An option has a value that the game does not support.

    :param parameter: the name of the option
    :param message: what was expected and found
    """

    def __init__(self, parameter: str, message: str) -> None:
        self.parameter = parameter
        super().__init__(message)


@dataclass(frozen=True)
class ProcgenOptions:
    """
    Levels and graphics of a game.

    :param game: one of :data:`GAMES`
    :param distribution_mode: ``"easy"`` or ``"hard"``; some games also have ``"extreme"``, ``"memory"`` (only the
        surroundings are visible) or ``"exploration"`` (a single level that is hard to explore)
    :param num_levels: how many different levels there are; 0 for all of them
    :param start_level: the seed of the first of these levels
    :param use_sequential_levels: a solved level is followed by the next one in the same episode
    :param center_agent: the picture follows the agent, in games that support it
    :param use_backgrounds: draw pictures behind the levels instead of black
    :param use_monochrome_assets: draw rectangles in one colour each instead of pictures
    :param restrict_themes: always draw the same picture where a game has several
    :param use_generated_assets: draw random pictures instead of designed ones
    :param paint_vel_info: paint the agent's velocity into the corner, in games where it matters
    :raises OptionError: if the game does not exist or has no such mode, or a level's number is negative or too large
    """

    game: str
    distribution_mode: str = "hard"
    num_levels: int = 0
    start_level: int = 0
    use_sequential_levels: bool = False
    center_agent: bool = True
    use_backgrounds: bool = True
    use_monochrome_assets: bool = False
    restrict_themes: bool = False
    use_generated_assets: bool = False
    paint_vel_info: bool = False

    def __post_init__(self) -> None:
        if self.game not in GAMES:
            raise OptionError("game", f"game must be one of {', '.join(GAMES)}, but got {self.game!r}")
        modes = [mode for mode, games in _GAMES_OF_MODE.items() if self.game in games]
        if self.distribution_mode not in modes:
            raise OptionError(
                "distribution_mode",
                f"{self.game} has the distribution_mode {', '.join(modes)}, but got {self.distribution_mode!r}",
            )
        for name, level in (("num_levels", self.num_levels), ("start_level", self.start_level)):
            if not 0 <= level <= _MAX_LEVEL:
                raise OptionError(name, f"{name} must lie between 0 and {_MAX_LEVEL}, but got {level}")
        if self.distribution_mode == "exploration" and (self.num_levels or self.start_level):
            raise OptionError(
                "distribution_mode",
                "distribution_mode 'exploration' is a single level of its own, "
                f"but got num_levels={self.num_levels} and start_level={self.start_level}; leave them out",
            )
