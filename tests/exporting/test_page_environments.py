"""The environments in the JavaScript of web pages are those of Gymnasium, and the games those of training."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from page_scripts import PageScripts
from sb3_ext.exporting.page_registry import BUILT_IN, find_page_environment
from sb3_ext.selfplay import make_game

WIDTHS = {
    "CartPole-v1": (2.5, 3.0, 0.22, 3.0),
    "Acrobot-v1": (3.0, 3.0, 12.0, 25.0),
    "MountainCar-v0": (0.6, 0.07),
    "MountainCarContinuous-v0": (0.6, 0.07),
    "Pendulum-v1": (9.0, 8.0),
}
SIMULATIONS = {
    "CartPole-v1": [{}, {"sutton_barto_reward": True}],
    "Acrobot-v1": [{}],
    "MountainCar-v0": [{}, {"goal_velocity": 0.02}],
    "MountainCarContinuous-v0": [{}, {"goal_velocity": 0.02}],
    "Pendulum-v1": [{}, {"g": 9.81}],
}
STEPS = """(() => {
  const made = new Environment(parameters);
  return steps.map(([state, action]) => {
    made.state = state;
    const { reward, terminated } = made.step(action);
    return [made.state, Array.from(made.observe()), reward, terminated];
  });
})()"""
GAME = """(() => {
  const game = new Environment(parameters);
  return moves.map((action) => {
    const before = [game.legal(), game.observe(), game.mover];
    game.play(action);
    return [...before, game.winner];
  });
})()"""


@pytest.mark.parametrize(
    ("name", "parameters"), [(name, parameters) for name, given in SIMULATIONS.items() for parameters in given]
)
def test_each_step_is_that_of_gymnasium(name: str, parameters: dict[str, Any]) -> None:
    environment = find_page_environment(name)
    scripts = PageScripts(f"environments/{environment.script.name}")
    env: Any = gymnasium.make(name, max_episode_steps=150, **parameters).unwrapped
    steps, expected = play(env, 600, WIDTHS[name])

    found = scripts.run(STEPS, parameters={**environment.constants, **parameters}, steps=steps)

    for part in range(3):  # states, observations, rewards
        actual, wanted = (np.array([step[part] for step in results], float) for results in (found, expected))
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-6)
    ends = [step[3] for step in found]
    assert ends == [step[3] for step in expected]
    assert any(ends) is (name != "Pendulum-v1")


def test_whole_episodes_stay_together() -> None:
    scripts = PageScripts("environments/pendulum.js")
    env: Any = gymnasium.make("Pendulum-v1").unwrapped
    steps, expected = play(env, 50)
    start = "Object.assign(new Environment({}), { state })"
    run = f"actions.reduce((made, action) => (made.step(action), made), {start}).state"
    state = scripts.run(run, state=steps[0][0], actions=[action for _, action in steps])

    np.testing.assert_allclose(state, expected[-1][0], rtol=0, atol=1e-6)


def play(env: Any, count: int, widths: tuple[float, ...] | None = None) -> tuple[list[Any], list[Any]]:
    """
    Play with random actions. Every tenth step begins in a random state, also a fast one, or one near the end.

    :param widths: of the random states; ``None`` plays one episode
    :return: states and actions, and what Gymnasium makes of them
    """
    generator = np.random.default_rng(1)
    env.reset(seed=1)
    env.action_space.seed(1)
    steps, expected = [], []
    for index in range(count):
        if index % 10 == 0 and widths is not None:
            env.reset()
            env.state = generator.uniform(-np.array(widths), widths)
        action = env.action_space.sample()
        before = [float(number) for number in env.state]
        observation, reward, terminated, _, _ = env.step(action)
        after = [float(number) for number in env.state]
        steps.append([before, action.tolist()])
        expected.append((after, observation.tolist(), float(reward), terminated))
        if terminated:
            env.reset()
    return steps, expected


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("connect4", {}),
        ("connect4", {"rows": 5, "cols": 4, "in_a_row": 3}),
        ("pettingzoo.classic.tictactoe_v3", {}),
    ],
)
def test_games_have_the_same_rules_and_observations(name: str, parameters: dict[str, Any]) -> None:
    scripts = PageScripts(f"environments/{find_page_environment(name).script.name}")
    generator = np.random.default_rng(1)
    results = set()
    game = make_game(name, num_boards=1, params=parameters)
    board = np.zeros(1, dtype=np.intp)
    for _ in range(15):
        game.reset(board)
        moves, expected = [], []
        is_over = False
        while not is_over:
            legal, mover = game.find_legal(board)[0], int(game.movers[0])
            observation = game.observe(board, game.movers[board])[0]
            action = int(generator.choice(np.flatnonzero(legal)))
            rewards, ends = game.play(board, np.array([action]))
            is_over = bool(ends[0])
            winner = None if not is_over else "draw" if not rewards.any() else int(rewards[0].argmax())
            moves.append(action)
            expected.append([legal.tolist(), observation.ravel().tolist(), mover, winner])
        results.add(winner)

        assert scripts.run(GAME, parameters=parameters, moves=moves) == expected
    assert results >= {0, 1}


def test_every_built_in_environment_is_tested() -> None:
    assert set(BUILT_IN) == {*SIMULATIONS, "CartPole-v0", "connect4", "pettingzoo.classic.tictactoe_v3"}
