"""A league's tables, at the widths that terminals have."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from sb3_ext.cli import league_tables
from sb3_ext.cli.league_tables import print_league
from sb3_ext.selfplay.matches.bradley_terry import Rating
from sb3_ext.selfplay.matches.match_play import MatchResult
from sb3_ext.selfplay.matches.round_robin import League, Player
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent


def make_league(count: int) -> League:
    def move(observations: Any, legal: Any) -> Any:
        raise AssertionError("no game is played here")

    agents = [
        Player(FunctionOpponent(move, f"episode_{9000 * n:09}"), step=10**6 * n, note="best" if n == 1 else "")
        for n in range(1, count)
    ]
    players = (*agents, Player(FunctionOpponent(move, "alpha_beta_4"), note="trained against it, depth 4 of 4"))
    results = {pair: MatchResult(np.ones((500, 2)), 987) for pair in combinations(range(count), 2)}
    return League(players, results, tuple(Rating(1500 - 10 * n, 1400 - n, 1600 - n) for n in range(count)))


@pytest.mark.parametrize(
    ("width", "matrices", "results"),
    [
        (80, 2, "against won drawn lost score 95 % interval moving first second"),
        (100, 2, "against won drawn lost score 95 % interval moving first second distinct games"),
        (160, 1, "against won drawn lost score 95 % interval moving first second distinct games"),
        (None, 1, "against won drawn lost score 95 % interval moving first second distinct games"),
    ],
)
def test_tables_fit_the_terminal(
    width: int | None,
    matrices: int,
    results: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(league_tables, "measure_width", lambda: width)
    print_league(make_league(17))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= (width or 200)
    assert sum(line.startswith("Score of the row") for line in lines) == matrices
    assert " ".join(next(line for line in lines if line.startswith("against")).split()) == results
    best = next(line for line in lines if line.startswith(" 1  "))
    assert best.split() == ["1", "episode_000009000", "1,000,000", "1500", "1400", "to", "1600", "best"]
