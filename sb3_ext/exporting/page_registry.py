"""The environments that a web page can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sb3_ext.extensions import Registry

_FOLDER = Path(__file__).parent / "page_files" / "environments"


@dataclass(frozen=True)
class PageEnvironment:
    """
    An environment in JavaScript.

    :param script: file with a class ``Environment``; see ``README.md`` for its methods
    :param is_game: whether it is a two-player game; otherwise it is a simulation
    :param parameters: names of the parameters of the environment that the class knows; a run with others has no page
    :param constants: further parameters that are given to the class
    """

    script: Path
    is_game: bool = False
    parameters: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)


CART_POLE = PageEnvironment(_FOLDER / "cart_pole.js", parameters=("sutton_barto_reward",))
ACROBOT = PageEnvironment(_FOLDER / "acrobot.js")
_CAR = _FOLDER / "mountain_car.js"
MOUNTAIN_CAR = PageEnvironment(_CAR, parameters=("goal_velocity",), constants={"continuous": False})
CONTINUOUS_MOUNTAIN_CAR = PageEnvironment(_CAR, parameters=("goal_velocity",), constants={"continuous": True})
PENDULUM = PageEnvironment(_FOLDER / "pendulum.js", parameters=("g",))
CONNECT4 = PageEnvironment(_FOLDER / "connect4.js", is_game=True, parameters=("rows", "cols", "in_a_row"))
TIC_TAC_TOE = PageEnvironment(_FOLDER / "tic_tac_toe.js", is_game=True)

BUILT_IN = {
    "Acrobot-v1": "ACROBOT",
    "CartPole-v0": "CART_POLE",
    "CartPole-v1": "CART_POLE",
    "MountainCar-v0": "MOUNTAIN_CAR",
    "MountainCarContinuous-v0": "CONTINUOUS_MOUNTAIN_CAR",
    "Pendulum-v1": "PENDULUM",
    "connect4": "CONNECT4",
    "pettingzoo.classic.tictactoe_v3": "TIC_TAC_TOE",
}
PAGES = Registry("environment", {name: f"{__name__}:{place}" for name, place in BUILT_IN.items()}, "sb3_ext.pages")
"""``env.id`` or ``game.id`` -> a :class:`PageEnvironment`."""


def find_page_environment(name: str) -> PageEnvironment:
    """
    :param name: ``env.id`` or ``game.id``
    :return: the environment in JavaScript
    :raises LookupError: with a message that lists those that exist, if there is none
    """
    if name not in PAGES:
        known = ", ".join(sorted({*BUILT_IN, *PAGES.list_installed()}))
        raise LookupError(
            f"{name} has no web page; these have one: {known}; add one with the entry point sb3_ext.pages"
        )
    found = PAGES.load(name)
    if not isinstance(found, PageEnvironment):
        raise LookupError(f"the entry point {name!r} of sb3_ext.pages is not a PageEnvironment, but {found!r}")
    return found
