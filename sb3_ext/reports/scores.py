"""Returns of a game of win and loss as scores: a win is 1, a draw a half, a loss 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sb3_ext.reports.intervals import compute_wilson_interval95

SCORE_TITLE = "Win rate (a draw is half a win)"


class Scores(NamedTuple):
    """
    What a run has recorded of its games, with scores for returns.

    :param metrics: the content of ``metrics.json``
    :param evaluations: the lines of ``evaluations.jsonl``, with Wilson's interval of the score
    """

    metrics: Mapping[str, Any]
    evaluations: Sequence[Mapping[str, Any]]


def score_games(metrics: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> Scores | None:
    """
    :param metrics: the content of ``metrics.json`` of a run that plays a game
    :param evaluations: the lines of its ``evaluations.jsonl``
    :return: the same with scores; ``None`` where returns are more informative, as in poker
    """
    episodes = metrics["episodes"]
    returns = [*episodes["return"], *(value for line in evaluations for value in line.get("returns", ()))]
    payoffs = {abs(value) for value in returns if value}
    if len(payoffs) > 1:
        return None
    payoff = payoffs.pop() if payoffs else 1.0

    def score(value: float | None) -> float | None:
        return None if value is None else min(max((1 + value / payoff) / 2, 0.0), 1.0)

    def score_evaluation(line: Mapping[str, Any]) -> Mapping[str, Any]:
        mean = score(line["mean_return"])
        interval = None if mean is None else compute_wilson_interval95(mean, line["episodes"])
        return {**line, "mean_return": mean, "ci95": interval}

    scored = {**episodes, "return": [score(value) for value in episodes["return"]]}
    return Scores({**metrics, "episodes": scored}, [score_evaluation(line) for line in evaluations])
