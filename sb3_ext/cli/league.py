"""``sb3-ext league``: every agent plays every other one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.completed_values import complete_opponents, complete_runs
from sb3_ext.cli.console import show_log
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.league_tables import print_exploitation, print_league
from sb3_ext.cli.options import check_output_files, ruled_option
from sb3_ext.cli.position_tables import print_positions
from sb3_ext.output_file import validate_output_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sb3_ext.config.game_schema import GameConfig
    from sb3_ext.evaluation.league_positions import LeaguePositions
    from sb3_ext.runs.run import Run
    from sb3_ext.selfplay.games.game import Game
    from sb3_ext.selfplay.matches.round_robin import League

OPENING_PLIES = (2, 4)
DEFAULT_POSITIONS = 200


def _read_checkpoints(_context: click.Context, _option: click.Parameter, value: str) -> str | int:
    if value in ("all", "best", "latest"):
        return value
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"expected all, best, latest or a positive number, but got '{value}'")
    return int(value)


@click.command(short_help="Compute payoff matrix and ratings of a run that plays a game.")
@click.argument("run", shell_complete=complete_runs)
@click.option("--games", type=click.IntRange(2), default=1000, show_default=True, metavar="N", help="Games per pair.")
@click.option(
    "--against", multiple=True, metavar="NAME|RUN|CHECKPOINT", shell_complete=complete_opponents,
    help="Instead of the default anchors: random, heuristic, alpha_beta_N, mcts_N, perfect. Repeatable.",
)  # fmt: skip
@click.option(
    "--checkpoints", callback=_read_checkpoints, default="5", show_default=True, metavar="all|best|latest|N",
    help="Which checkpoints play; N: the best, the latest and others after equal parts of the training.",
)  # fmt: skip
@click.option(
    "--positions", type=click.IntRange(1), metavar="N",
    help="Solved positions of each phase and difficulty in which right moves are counted.  [default: 200]",
)  # fmt: skip
@ruled_option(
    "--no-positions", is_flag=True, excludes={"--positions": "leave out one of them"},
    help="Do not compare moves with perfect play.",
)  # fmt: skip
@click.option(
    "--exploit", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
    help="Then train a fresh agent for so long against the best checkpoint, and let them play.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("league.png"), show_default=True,
    metavar="FILE.png|FILE.svg", help="Heat map of the payoff matrix.",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all results to FILE.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Seed of the games.")
@click.option("--trust", is_flag=True, help="Load pickles, which can run any code.")
def league(
    run: str,
    games: int,
    against: tuple[str, ...],
    checkpoints: str | int,
    positions: int | None,
    no_positions: bool,
    exploit: float | None,
    output: Path,
    json_path: Path | None,
    seed: int,
    trust: bool,
) -> None:
    """
    Let checkpoints of RUN play against each other and against anchors of fixed strength.

    Agents play greedily, both sides of every random opening of 2 to 4 moves. Elo is fitted to all results (Bradley
    and Terry), with random at 0 and a bootstrap's 95 % intervals. If the game has a solver, all players also move in
    random positions whose results are known.
    """
    if output.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--output {output}: expected a name that ends in .png or .svg")
    check_output_files({"--output": output, "--json": json_path})
    with importing_sb3():
        from sb3_ext.building.game_environments import compute_training_shares, make_configured_game
        from sb3_ext.building.run_config import load_run_config
        from sb3_ext.errors import RunError
        from sb3_ext.evaluation.league_players import load_agents, make_anchors
        from sb3_ext.evaluation.league_positions import measure_players
        from sb3_ext.runs.run_registry import find_run
        from sb3_ext.selfplay.matches.round_robin import play_league

    found = find_run(run)
    config = load_run_config(found.paths, trust=trust)
    if config.game is None:
        raise RunError(f"{found.paths.root}: expected a run of a two-player game, found one of {config.task_id}")
    if exploit is not None:
        validate_output_directory(found.paths.exploiters)
    with show_log(quiet=False, verbose=False):
        board = make_configured_game(config, 1)
        if positions is not None:
            _validate_solver(board)
        agents = load_agents(found.paths, board, checkpoints, seed=seed, trust=trust)
        anchors = make_anchors(board, against or None, trained_against=compute_training_shares(config), seed=seed)
        players = len(agents) + len(anchors)
        pairings = players * (players - 1) // 2
        click.echo(f"{players} players: {pairings} pairings of {games:,} games, {pairings * games:,} in all", err=True)
        with _show_progress() as on_match:
            played = play_league(
                lambda boards: make_configured_game(config, boards),
                [*agents, *anchors],
                anchor=len(agents),  # random is the first of the anchors
                games=games,
                seed=seed,
                opening_plies=OPENING_PLIES,
                on_match=on_match,
            )
        per_cell = DEFAULT_POSITIONS if positions is None else positions
        judged = None if no_positions else measure_players(board, played.players, per_cell, seed)
    print_league(played)
    if judged is not None:
        print_positions(played, judged)
    content = _make_content(found, config.game, seed, played, judged)
    _plot(played, output, f"{found.name}: {config.game.id}, {games:,} games a pairing")
    _write(json_path, content)
    if exploit is not None:
        status = _exploit(found, exploit, games, seed, json_path, content)
        if status:
            sys.exit(status)


def _validate_solver(game: Game) -> None:
    """
    :raises MissingExtraError: if the solver that --positions needs is not installed; told before any game is played
    """
    from sb3_ext.errors import MissingExtraError
    from sb3_ext.selfplay.solvers.solver_choice import choose_solver

    try:
        choose_solver(game)
    except MissingExtraError as error:
        raise MissingExtraError("--positions", error.extra, "or leave out --positions") from error


def _make_content(
    run: Run, game: GameConfig, seed: int, played: League, judged: LeaguePositions | None
) -> dict[str, Any]:
    """:return: what ``--json`` writes"""
    content = {"run": str(run.paths.root), "seed": seed, **game.model_dump(), "opening_plies": OPENING_PLIES}
    content |= played.to_json()
    return content if judged is None else {**content, "positions": judged.to_json(played.players)}


def _exploit(run: Run, minutes: float, games: int, seed: int, json_path: Path | None, content: dict[str, Any]) -> int:
    """:return: the exit status of the exploiter's training"""
    from sb3_ext.cli.train import choose_exit_status
    from sb3_ext.training.exploitation import measure_exploitation, start_exploiter
    from sb3_ext.training.loop import train_run

    with show_log(quiet=False, verbose=False):
        start = start_exploiter(run, minutes, seed)
        with start.session.signals.ignoring_afterwards():
            train_run(start)
            found = measure_exploitation(start, games, seed)
    print_exploitation(found)
    _write(json_path, {**content, "exploiter": found.to_json()})
    return choose_exit_status(start.session.status.status)


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pairings")
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _write(json_path: Path | None, content: dict[str, Any]) -> None:
    from sb3_ext.cli.match import write_json_file

    if json_path is not None:
        write_json_file(json_path, content)
        click.echo(json_path)


def _plot(played: League, output: Path, title: str) -> None:
    from sb3_ext.errors import Sb3ExtError
    from sb3_ext.reports.payoff import Payoff, plot_payoffs

    def score(row: int, column: int) -> Payoff | None:
        if row == column:
            return None
        return Payoff(played.get_tally(row, column).score, *(tally.score for tally in played.get_tallies(row, column)))

    ranking = played.rank()
    try:
        plot_payoffs(
            [played.players[index].name for index in ranking],
            [[score(row, column) for column in ranking] for row in ranking],
            output,
            title=title,
            labels=[played.players[index].label for index in ranking],
        )
    except OSError as error:
        raise Sb3ExtError(f"{output}: cannot be written: {error.strerror}") from error
    click.echo(output)
