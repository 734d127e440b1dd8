"""Exported pages in Chromium: they play, with mouse, touch and keyboard, and load nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from page_agents import AGENTS, make_agent_page, make_page_agent

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
GAME, BOARD, POLE = "maskable ppo, convolutions", "ppo, tic-tac-toe", "ppo, frame stack, statistics"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open an agent's page; at the end, nothing was requested and no error has occurred."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, color_scheme="dark")
    requested: list[str] = []
    errors: list[str] = []

    def open_agent(name: str) -> Any:
        path = tmp_path / "agent.html"
        path.write_text(make_agent_page(name))
        page = context.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        return page

    yield open_agent
    assert errors == []
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    context.close()


@pytest.mark.parametrize("name", AGENTS)
def test_decisions_are_those_of_predict(name: str, open_page: Any) -> None:
    page = open_page(name)
    differing = count = 0
    for batch in make_page_agent(name).predict(80):
        observations: Any = batch.observations
        legal: Any = batch.masks
        if isinstance(observations, dict):
            legal, observations = observations["action_mask"] > 0, observations["observation"]
        rows = [
            [row.ravel().tolist(), None if legal is None else legal[i].tolist(), bool(batch.starts[i])]
            for i, row in enumerate(observations)
        ]
        code = """(rows) => {
          globalThis.tested = globalThis.tested || rows.map(() => new Agent(AGENT));
          return rows.map(([observation, legal, starts], i) => {
            if (starts) tested[i].begin();
            return tested[i].decide(observation, legal).action;
          });
        }"""
        actions = np.array(page.evaluate(code, rows))
        differing += int((np.abs(actions - batch.actions) > 1e-5).any(axis=tuple(range(1, actions.ndim))).sum())
        count += len(rows)

    assert (differing, count) == (0, 80)


def wait_until(page: Any, condition: str) -> None:
    """``page.wait_for_function`` evaluates text in the page, which its security policy forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


@pytest.mark.parametrize("name", [GAME, BOARD, POLE])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_fits_its_window(name: str, width: int, open_page: Any) -> None:
    page = open_page(name)
    page.set_viewport_size({"width": width, "height": 740})

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_person_plays_with_touch_keys_undo_and_hints(open_page: Any) -> None:
    page = open_page(GAME)
    marks = page.locator("#board .mark")
    assert page.inner_text("#status") == "Your turn"
    page.tap("#board button:nth-child(4)")  # any cell of a column
    wait_until(page, "document.querySelectorAll('#board .mark').length === 2")
    assert page.locator("#thoughts .chosen").count() == 1
    page.keyboard.press("1")
    wait_until(page, "document.querySelectorAll('#board .mark').length === 4")
    page.keyboard.press("h")
    assert page.locator("#board .hint").count() == 7
    assert page.locator("#board .hint.best").count() == 1
    page.click("#undo")
    assert marks.count() == 2
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_until(page, "document.querySelectorAll('#board .mark').length === 4")
    page.click("#begins [data-value=agent]")
    page.click("#new")
    wait_until(page, "document.querySelectorAll('#board .mark').length === 1")
    assert page.inner_text("#status") == "Your turn"


def test_a_game_ends_and_is_counted(open_page: Any) -> None:
    page = open_page(BOARD)
    for _ in range(9):
        wait_until(page, "game.winner !== null || isPersonsTurn()")
        if page.evaluate("game.winner !== null"):
            break
        page.tap("#board button:not(:disabled)")
    assert page.inner_text("#status") in ("You win!", "The agent wins", "A draw")
    assert sum(int(page.inner_text(f"#{name}")) for name in ("won", "drawn", "lost")) == 1
    page.keyboard.press("n")
    wait_until(page, "isPersonsTurn()")  # the agent has begun
    assert page.locator("#board .mark").count() == 1


def test_a_simulation_runs_pauses_and_is_pushed(open_page: Any) -> None:
    page = open_page(POLE)
    wait_until(page, "page.steps > 5 || page.returns.length > 0")
    page.keyboard.press("Space")
    page.click("#restart")
    assert page.inner_text("#run") == "Play"
    page.click("#step")
    page.click("#step")
    wait_until(page, "document.getElementById('steps').textContent === '2'")
    before = page.evaluate("simulation.state[3]")
    page.tap("#push-right")
    assert page.evaluate("simulation.state[3]") == pytest.approx(before + 0.6)
    page.fill("#speed", "2")
    assert page.inner_text("#speed-text") == "4×"
    page.click("#manual")
    page.keyboard.down("ArrowRight")
    assert page.evaluate("chooseAction()") == 1
    page.keyboard.up("ArrowRight")
    page.click("#run")
    wait_until(page, "page.returns.length > 0")
