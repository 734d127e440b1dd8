"""
Export an agent to ONNX, and compare the file with ``predict`` before it is written.

The graph contains everything between an observation of the environment and an action: frame stack, image
transposition, normalisation, the network, action masks and the scaling of actions.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.agents.agent import AgentSource, find_agent
from sb3_ext.agents.raw_observations import find_observation_path
from sb3_ext.checkpoints.formats.space_json import describe_space
from sb3_ext.errors import ExportError, MissingExtraError, describe_error
from sb3_ext.exporting.action_comparison import CHECKED_OBSERVATIONS, ActionComparison
from sb3_ext.exporting.observation_source import PlayingAgent, PredictedBatch, open_agent
from sb3_ext.exporting.policy_graph import (
    ACTION_MASKS,
    ACTIONS,
    EPISODE_START,
    NEXT,
    OBSERVATION,
    PROBABILITIES,
    Q_VALUES,
    PolicyGraph,
)
from sb3_ext.internals.torch import skipping_distribution_checks
from sb3_ext.output_file import validate_output, write_output
from sb3_ext.version import __version__

_BATCH = "batch"
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class OnnxExport:
    """
    A written file.

    :param path: the file
    :param inputs: name -> type and shape, in words
    :param outputs: name -> type and shape, in words
    :param comparison: of its actions with those of ``predict``
    """

    path: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    comparison: ActionComparison


def export_onnx(
    target: str | Path,
    path: str | Path,
    *,
    checkpoint: str | None = None,
    env_id: str | None = None,
    algorithm: str | None = None,
    trust: bool = False,
    force: bool = False,
    observations: int = CHECKED_OBSERVATIONS,
) -> OnnxExport:
    """
    Export an agent to ONNX.

    :param target: a run, a checkpoint, a zip saved by SB3, or a folder of RL Zoo, as for ``sb3-ext enjoy``
    :param path: the file to write
    :param checkpoint: ``best``, ``latest`` or a step of a run; ``None`` for the best, or the latest if none has a score
    :param env_id: environment of a zip that belongs to no run
    :param algorithm: algorithm of a zip that belongs to no run
    :param trust: run code that the files contain
    :param force: replace an existing file
    :param observations: number of observations of the environment for which the actions are compared
    :return: what was written
    :raises ExportError: if torch cannot export the policy, or the exported model acts differently
    :raises MissingExtraError: if the extra ``onnx`` is not installed
    :raises RunError: if the file exists or cannot be written
    :raises CheckpointError: if the agent cannot be loaded
    """
    path = Path(path)
    validate_output(path, force=force)
    validate_onnx_installed()
    source = find_agent(target, checkpoint=checkpoint, env_id=env_id, algorithm=algorithm, trust=trust)
    with open_agent(source, trust=trust) as agent:
        graph = make_graph(agent)
        content = convert_graph(graph, describe_agent(source, agent.env))
        session = _make_session(content)
        comparison = compare_actions(session, graph, agent, observations)
    comparison.check()
    write_output(path, content)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return OnnxExport(path, _describe_tensors(inputs), _describe_tensors(outputs), comparison)


def make_graph(agent: PlayingAgent) -> PolicyGraph:
    """
    :param agent: the agent
    :return: what is exported
    """
    policy: Any = agent.model.policy
    if getattr(agent.model, "use_sde", False):
        with torch.no_grad():
            policy.reset_noise()  # torch.export copies the policy, which fails if the noise has gradients
    return PolicyGraph(policy, agent.env, needs_masks=agent.takes_masks)


def validate_onnx_installed() -> None:
    """
    :raises MissingExtraError: if the extra ``onnx`` is not installed
    """
    if any(find_spec(name) is None for name in _PACKAGES):
        raise MissingExtraError("export to ONNX", "onnx")


def describe_agent(source: AgentSource, env: VecEnv) -> dict[str, str]:
    """
    :param source: of the agent
    :param env: the environments that it plays in, with all their wrappers
    :return: what the properties of the exported model say about it
    """
    bundle = source.model.bundle
    described = {
        "algorithm": source.config.agent.id,
        "environment": source.config.task_id,
        "run": source.model.path.stem if source.model.run is None else source.model.run.paths.root.resolve().name,
        "step": "" if bundle is None else str(bundle.step),
        "sb3_ext": __version__,
        "observation_space": json.dumps(describe_space(find_observation_path(env).space)),
        "action_space": json.dumps(describe_space(env.action_space)),
    }
    return {name: text for name, text in described.items() if text}


def compare_actions(session: Any, graph: PolicyGraph, agent: PlayingAgent, observations: int) -> ActionComparison:
    """
    Compare the actions of an exported model with those of ``predict``. Its states are its own.

    :param session: ``onnxruntime.InferenceSession`` with the model
    :param graph: what was exported
    :param agent: the agent
    :param observations: number of observations, rounded up to whole batches
    :return: the result
    """
    size = agent.env.num_envs
    states = {name: graph.inputs[name].make_zeros(size) for name in graph.state_names}
    comparison = ActionComparison(agent.env.action_space)
    for batch in agent.predict(observations):
        feeds = {**_list_feeds(batch, graph), **states}
        outputs = dict(zip(graph.output_names, session.run(graph.output_names, feeds), strict=True))
        states = {name: outputs[f"{NEXT}{name}"] for name in graph.state_names}
        preferences = outputs.get(PROBABILITIES, outputs.get(Q_VALUES))
        comparison.add(outputs[ACTIONS], batch.actions, preferences, are_values=Q_VALUES in outputs)
    return comparison


def _make_session(content: bytes) -> Any:
    """:return: an ``onnxruntime.InferenceSession`` with one thread, whose sums do not depend on the machine"""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _describe_tensors(tensors: Iterable[Any]) -> dict[str, str]:
    return {
        tensor.name: f"{tensor.type.removeprefix('tensor')[1:-1]} {_describe_shape(tensor.shape)}" for tensor in tensors
    }


def _describe_shape(shape: Iterable[Any]) -> str:
    return f"({', '.join(map(str, shape))})"


def convert_graph(graph: PolicyGraph, properties: Mapping[str, str]) -> bytes:
    """
    :param graph: what is exported
    :param properties: of the model, in words
    :return: content of an ONNX file
    :raises ExportError: if torch cannot export it
    """
    shapes = tuple({part.batch_dimension: _BATCH} for part in graph.inputs.values())
    examples = tuple(part.example for part in graph.inputs.values())
    try:
        with torch.no_grad(), skipping_distribution_checks(), _quiet():
            program = torch.onnx.export(
                graph,
                examples,
                dynamo=True,
                dynamic_shapes={"tensors": shapes},
                input_names=list(graph.inputs),
                output_names=graph.output_names,
                verbose=False,
            )
    except Exception as error:  # networks of users can fail in any way
        cause = error.__cause__ or error
        raise ExportError(f"torch cannot export this policy to ONNX: {describe_error(cause)}") from error
    assert program is not None
    model = program.model_proto
    model.producer_name, model.producer_version = "sb3_ext", __version__
    for name, text in properties.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, text
    content: bytes = model.SerializeToString()
    return content


def _list_feeds(batch: PredictedBatch, graph: PolicyGraph) -> dict[str, Any]:
    observations = batch.observations
    feeds = dict(observations) if isinstance(observations, Mapping) else {OBSERVATION: observations}
    if EPISODE_START in graph.inputs:
        feeds[EPISODE_START] = batch.starts
    if batch.masks is not None:
        feeds[ACTION_MASKS] = batch.masks
    return feeds


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what torch says about itself during an export."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
