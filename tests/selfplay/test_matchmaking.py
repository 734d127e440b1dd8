from __future__ import annotations

import numpy as np
import pytest

from sb3_ext.selfplay.pool.matchmaking import (
    Chances,
    Results,
    choose_evicted,
    compute_chances,
    make_draw,
    weigh_snapshots,
)

ALL = {"has_started": True, "has_snapshots": True, "has_heuristics": True}


@pytest.mark.parametrize(
    ("current", "past", "known", "expected"),
    [
        (0.3, 0.3, {}, (0.4, 0.3, 0.3)),
        (0.0, 0.0, {}, (1.0, 0.0, 0.0)),
        (0.7, 0.3, {}, (0.0, 0.7, 0.3)),
        (0.9, 0.1, {}, (0.0, 0.9, 0.1)),  # 1 - 0.9 - 0.1 is below 0 in floating point
        (0.3, 0.3, {"has_started": False}, (1.0, 0.0, 0.0)),
        (0.3, 0.3, {"has_snapshots": False}, (0.7, 0.3, 0.0)),
        (0.5, 0.5, {"has_heuristics": False}, (0.0, 0.5, 0.5)),
        (0.5, 0.5, {"has_heuristics": False, "has_snapshots": False}, (0.0, 1.0, 0.0)),
    ],
)
def test_chances(current: float, past: float, known: dict[str, bool], expected: tuple[float, float, float]) -> None:
    found = compute_chances(current, past, **{**ALL, **known})
    assert found == pytest.approx(Chances(*expected))
    assert min(found) >= 0


@pytest.mark.parametrize(
    ("sampling", "results", "expected"),
    [
        ("uniform", [Results(9, 0, 0), Results(), Results(0, 0, 9)], [1 / 3, 1 / 3, 1 / 3]),
        ("latest", [Results(), Results(), Results()], [0, 0, 1]),
        ("prioritized", [Results(), Results()], [1 / 2, 1 / 2]),
        ("prioritized", [Results(8, 0, 0), Results(0, 0, 8)], [1 / 10, 9 / 10]),
        ("prioritized", [Results(0, 8, 0), Results(4, 0, 4)], [1 / 2, 1 / 2]),
    ],
)
def test_weights_of_snapshots(sampling: str, results: list[Results], expected: list[float]) -> None:
    assert weigh_snapshots(sampling, results) == pytest.approx(expected)  # type: ignore[arg-type]


def test_the_oldest_makes_room() -> None:
    assert choose_evicted("oldest", 3, 17, np.random.default_rng(0)) == 0


def test_a_reservoir_is_a_uniform_sample_of_all_that_there_were() -> None:
    generator = np.random.default_rng(0)
    kept = np.zeros(12)
    for _ in range(4000):
        members: list[int] = []
        for seen in range(1, 13):
            members.append(seen - 1)
            if len(members) > 3:
                del members[choose_evicted("reservoir", 3, seen, generator)]
        kept[members] += 1
    assert kept / 4000 == pytest.approx(np.full(12, 3 / 12), abs=0.03)


def test_results_count_from_the_agent_s_side() -> None:
    results = Results()
    for episode_return in (1.0, -1.0, -1.0, 0.0):
        results.add(episode_return)
    assert (results.wins, results.draws, results.losses, results.games) == (1, 1, 2, 4)


def test_a_drawn_name_is_what_choice_draws() -> None:
    names, chances = ["a", "b", "c", "d"], np.array([0.1, 0.0, 0.7, 0.2])
    generators = [np.random.default_rng(3) for _ in range(2)]
    draw = make_draw(names, chances, generators[0])
    assert [draw() for _ in range(500)] == [str(generators[1].choice(names, p=chances)) for _ in range(500)]
    assert generators[0].bit_generator.state == generators[1].bit_generator.state
