"""A person plays against an agent, in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.board import CONNECT4, draw_advice, draw_board
from sb3_ext.cli.fast_imports import importing_sb3

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from sb3_ext.evaluation.play import PersonGame

_MOST_KEYS = 9
UNDO, HINT, NEW, QUIT = "u", "h", "n", "q"


def play_person(
    target: str, seat: str, *, checkpoint: str | None, deterministic: bool | None, seed: int | None, trust: bool
) -> None:
    """
    Let a person play in the terminal, as long as they like.

    :param target: a run or a checkpoint
    :param seat: of the person: ``first``, ``second`` or ``random``, drawn anew for every game
    :param checkpoint: of a run
    :param deterministic: the agent takes its best move always, which is the default
    :param seed: of the agent and of the seats; fresh random numbers when left out
    :param trust: read pickles, too
    """
    import numpy as np
    from rich.console import Console

    with importing_sb3():
        from sb3_ext.agents.agent import find_agent
        from sb3_ext.agents.agent_games import seat_agent
    from sb3_ext.evaluation.play import PersonGame

    source = find_agent(target, checkpoint=checkpoint)
    game, agent = seat_agent(source, 1, deterministic=deterministic is not False, seed=seed, trust=trust)
    generator = np.random.default_rng(seed)

    def start() -> PersonGame:
        taken = int(generator.integers(2)) if seat == "random" else ("first", "second").index(seat)
        return PersonGame(game, agent, taken)

    play_games(start, Console(highlight=False, file=sys.stdout))


def play_games(start_game: Callable[[], PersonGame], console: Console) -> dict[str, int]:
    """
    Play until the person has enough.

    :param start_game: begins a new game
    :param console: where the board is drawn; keys come from standard input, which may be a pipe
    :return: how often the person has ``won``, ``drawn`` and ``lost``
    """
    tally = {"won": 0, "drawn": 0, "lost": 0}
    while True:
        game = start_game()
        is_quitting = _play_game(game, console)
        if game.result is not None:
            tally[_name_result(game.result)] += 1
        if is_quitting:
            console.print("games: " + ", ".join(f"{count} {name}" for name, count in tally.items()))
            return tally


def _play_game(game: PersonGame, console: Console) -> bool:
    """:return: whether the person has enough; otherwise wants another game"""
    message = ""
    while True:
        while not game.is_over and not game.is_persons_turn:
            game.answer()
        _show(game, console, message)
        command = _read_command(game, console)
        message = ""
        if command == QUIT:
            return True
        if command == NEW and game.is_over:
            return False
        if command == UNDO:
            message = "" if game.undo() else "there is nothing to take back"
        elif command == HINT:
            message = _give_hint(game, console.width)
        elif command.isdecimal() and int(command) - 1 in game.list_legal():
            game.play(int(command) - 1)
        elif command.isdecimal() and not game.is_over:
            legal = ", ".join(str(action + 1) for action in game.list_legal())
            message = (
                f"{command} is not possible here; {legal} are" if "," in legal else f"only {legal} is possible here"
            )
        else:
            message = f"unknown key '{command}'" if command.isprintable() else "unknown key"


def _give_hint(game: PersonGame, width: int) -> str:
    from sb3_ext.errors import MissingExtraError
    from sb3_ext.selfplay.solvers.solver_choice import choose_solver

    try:
        solver = choose_solver(game.game)
    except MissingExtraError as error:
        return f"{draw_advice(game.advise(), width)}\n{error}"
    return draw_advice(game.advise(), width, game.solve(solver) if solver.is_exact else None)


def _show(game: PersonGame, console: Console, message: str) -> None:
    if console.is_terminal:
        console.clear()
    console.print(draw_board(game))
    if message:
        console.print(message, markup=False, highlight=False)
    if game.result is not None:
        name = _name_result(game.result)
        console.print("[bold]a draw[/]" if name == "drawn" else f"[bold]you have {name}[/]")
        console.print("[dim]n another game   u take back   q quit[/]")
    else:
        keys = _name_keys(game)
        console.print(f"[dim]{keys}   u take back   h hint   q quit[/]")


def _name_keys(game: PersonGame) -> str:
    if game.game.id == CONNECT4:
        return f"1–{game.game.action_space.n} drop a stone"
    legal = [str(action + 1) for action in game.list_legal()]
    return f"{' '.join(legal)} make a move" if len(legal) <= _MOST_KEYS else f"{legal[0]} … {legal[-1]} make a move"


def _read_command(game: PersonGame, console: Console) -> str:
    """:return: one key; where there are more than nine moves, or letters, a line"""
    if game.game.action_space.n > _MOST_KEYS:
        console.print("your move: ", end="")
        line = sys.stdin.readline()
        return line.strip().lower() or ("" if line else QUIT)
    if sys.stdin.isatty():
        try:
            return click.getchar().lower()
        except EOFError:
            return QUIT
    key = sys.stdin.read(1)
    while key.isspace():
        key = sys.stdin.read(1)
    return key.lower() or QUIT


def _name_result(result: float) -> str:
    return "won" if result > 0 else "lost" if result < 0 else "drawn"
