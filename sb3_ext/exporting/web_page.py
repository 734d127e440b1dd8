"""
Export an agent as one HTML file, in which it plays: without network, server or installation.

The page has the environment in JavaScript, the weights of the policy, and a small implementation of its layers.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.agents.agent import AgentSource, find_agent
from sb3_ext.building.training_environments import change_env
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.errors import ExportError
from sb3_ext.exporting.action_comparison import CHECKED_OBSERVATIONS, ActionComparison
from sb3_ext.exporting.network_replica import NetworkReplica
from sb3_ext.exporting.observation_source import PlayingAgent, open_agent
from sb3_ext.exporting.page_registry import PageEnvironment, find_page_environment
from sb3_ext.exporting.web_network import describe_network
from sb3_ext.output_file import validate_output, write_output
from sb3_ext.version import __version__

_OF_DRAWING = {"render_mode", "screen_height"}
"""Parameters of environments that change only their pictures."""

_FILES = Path(__file__).parent / "page_files"


@dataclass(frozen=True)
class WebExport:
    """
    A written page.

    :param path: the file
    :param size_bytes: its size
    :param comparison: of the actions of the network in it with those of ``predict``
    """

    path: Path
    size_bytes: int
    comparison: ActionComparison


def export_web(
    target: str | Path,
    path: str | Path,
    *,
    checkpoint: str | None = None,
    env_id: str | None = None,
    algorithm: str | None = None,
    trust: bool = False,
    force: bool = False,
    observations: int = CHECKED_OBSERVATIONS,
) -> WebExport:
    """
    Export an agent as a web page in which it plays.

    :param target: a run, a checkpoint, a zip saved by SB3, or a folder of RL Zoo, as for ``sb3-ext enjoy``
    :param path: the file to write
    :param checkpoint: ``best``, ``latest`` or a step of a run; ``None`` for the best, or the latest if none has a score
    :param env_id: environment of a zip that belongs to no run
    :param algorithm: algorithm of a zip that belongs to no run
    :param trust: run code that the files contain
    :param force: replace an existing file
    :param observations: number of observations of the environment for which the actions are compared
    :return: what was written
    :raises ExportError: if the environment or the policy has no page, or the network in the page acts differently
    :raises RunError: if the file exists or cannot be written
    :raises CheckpointError: if the agent cannot be loaded
    """
    path = Path(path)
    validate_output(path, force=force)
    source = find_agent(target, checkpoint=checkpoint, env_id=env_id, algorithm=algorithm, trust=trust)
    environment, parameters = _choose_environment(source)
    with open_agent(source, trust=trust) as agent:
        description = describe_page_agent(agent, source.config.task_id, {**environment.constants, **parameters})
        comparison = compare_network(description, agent, observations)
    comparison.check()
    content = make_page(environment, description, _describe_source(source)).encode()
    write_output(path, content)
    return WebExport(path, len(content), comparison)


def describe_page_agent(agent: PlayingAgent, task_id: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    :param agent: the agent
    :param task_id: ``env.id`` or ``game.id``, for messages
    :param parameters: of the environment in JavaScript
    :return: what the scripts of a page know about the agent, as plain data
    :raises ExportError: if its policy has a part that pages cannot compute
    """
    try:
        network = describe_network(agent.model.policy, agent.env)
    except NotCovered as error:
        raise ExportError(f"the agent of {task_id} has {error.reason}, which a web page cannot compute") from error
    return {**network, "parameters": dict(parameters), "max_steps": _find_max_steps(agent.env)}


def compare_network(description: Mapping[str, Any], agent: PlayingAgent, observations: int) -> ActionComparison:
    """
    Compare the actions of the network in a page, computed in Python, with those of ``predict``.

    An agent whose policy does not know the legal moves may choose an illegal one here; the page plays the best legal
    move.

    :param description: from :func:`describe_page_agent`
    :param agent: the agent
    :param observations: number of observations, rounded up to whole batches
    :return: the result
    """
    comparison = ActionComparison(agent.env.action_space)
    replica = NetworkReplica(description)
    for batch in agent.predict(observations):
        actions, preferences = replica.decide(batch)
        comparison.add(actions, batch.actions, preferences, are_values=description["output"]["kind"] == "values")
    return comparison


def make_page(environment: PageEnvironment, description: Mapping[str, Any], about: str) -> str:
    """
    :param environment: the environment in JavaScript
    :param description: from :func:`describe_page_agent`
    :param about: a line about the agent
    :return: HTML
    """
    kind = "game" if environment.is_game else "simulation"
    data = json.dumps(description, allow_nan=False).replace("</", "<\\/")
    script = environment.script.read_text()
    scripts = [
        f"const AGENT = {data};",
        *(_read_file(name) for name in ("page.js", "network.js")),
        # In a function, so that its names are its own.
        f"const Environment = (() => {{\n{script}\nreturn Environment;\n}})();",
        _read_file(f"{kind}_page.js"),
    ]
    parts = {
        "title": html.escape(_read_title(script, environment)),
        "generator": f"sb3_ext {__version__}",
        "style": _read_file("page.css"),
        "body": _read_file(f"{kind}.html"),
        "about": html.escape(about),
        "script": "\n".join(part.replace('"use strict";\n', "") for part in scripts),
    }
    page = _read_file("page.html")
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    return page


def _choose_environment(source: AgentSource) -> tuple[PageEnvironment, dict[str, Any]]:
    """:return: the environment in JavaScript, and its parameters in the run"""
    config = source.config
    section = None if config.game is not None else change_env(config.require_env("a web page"), config.eval.env)
    name = config.task_id if section is None else section.id
    try:
        environment = find_page_environment(name)
    except LookupError as error:
        raise ExportError(str(error)) from error
    given = dict(section.params if section is not None else config.game.params if config.game is not None else {})
    unknown = sorted(given.keys() - set(environment.parameters) - _OF_DRAWING)
    if unknown:
        known = f"it knows {', '.join(environment.parameters)}" if environment.parameters else "it knows none"
        raise ExportError(f"the web page of {name} does not know the parameter {unknown[0]}; {known}")
    if section is not None and section.wrappers:
        raise ExportError(f"env.wrappers: {name} has wrappers, which are Python and cannot be part of a web page")
    return environment, {key: value for key, value in given.items() if key not in _OF_DRAWING}


def _find_max_steps(env: VecEnv) -> int | None:
    """:return: the length of an episode; ``None`` if it is unlimited, and for games"""
    if not env.has_attr("spec"):
        return None
    spec = env.get_attr("spec", [0])[0]
    return None if spec is None else spec.max_episode_steps


def _describe_source(source: AgentSource) -> str:
    bundle = source.model.bundle
    steps = "" if bundle is None else f", trained for {bundle.step:,} steps"
    return f"{source.config.agent.id} on {source.config.task_id}{steps}. The agent runs in this page; nothing is sent."


def _read_title(script: str, environment: PageEnvironment) -> str:
    """:return: the title that the script gives its class"""
    for line in script.splitlines():
        start, _, rest = line.strip().partition("static title = ")
        if not start and rest:
            return rest.strip(";").strip('"')
    raise ExportError(f'{environment.script}: expected a line `static title = "…";` in its class Environment')


def _read_file(name: str) -> str:
    return (_FILES / name).read_text()
