"""
The folder of a run that is published: a run directory with one checkpoint to play with, and a model card.

::

    README.md                     the model card
    config.yaml, config.resolved.yaml, requirements.txt
    status.json, meta.json        without names of machines, users and paths
    evaluations.jsonl, metrics.json, training_curves.png
    replay.mp4 or replay.gif      an episode
    checkpoints/step_000020000/   without what only a resume needs
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium

from sb3_ext.agents.agent import AgentSource, find_agent, load_agent, make_agent_env
from sb3_ext.agents.agent_episodes import evaluate_agent, play
from sb3_ext.atomic import write_json, write_text
from sb3_ext.checkpoints.bundle.bundle import Bundle, copy_for_playing
from sb3_ext.errors import CheckpointError, Sb3ExtError
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.evaluation.video import VideoRecorder
from sb3_ext.hub.model_card import CardFacts, write_model_card
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import WRITTEN_STATUSES

_COPIED = ("config", "resolved_config", "requirements", "evaluations", "metrics", "training_curves")
_META = ("seed", "start_time_iso")
_FILM_STEPS = 1000


@dataclass(frozen=True)
class Publication:
    """
    A folder that is ready to be uploaded.

    :param folder: the folder
    :param evaluation: of the agent, as in the card
    :param notes: what is missing, in words
    """

    folder: Path
    evaluation: Evaluation
    notes: tuple[str, ...]


def write_publication(
    target: str,
    name: str,
    folder: Path,
    *,
    checkpoint: str | None = None,
    episodes: int | None = None,
    film: bool = True,
) -> Publication:
    """
    Write the folder of a run that is published, and evaluate its agent for the card.

    :param target: a run, or one of its checkpoints
    :param name: ``user/name`` of the repository, for the card
    :param folder: a new folder
    :param checkpoint: ``best``, ``latest`` or a step; ``None`` for the best
    :param episodes: number of episodes of the evaluation; ``None``: as in training
    :param film: film an episode
    :return: what was written
    :raises CheckpointError: if the target is not a run with a checkpoint, or contains custom code
    """
    source = find_agent(target, checkpoint=checkpoint)
    run, bundle = source.model.run, source.model.bundle
    if run is None or bundle is None:
        raise CheckpointError(f"{target}: is not a run; only runs and their checkpoints can be published")
    described = bundle.manifest.model
    if described.own_code or described.policy is None:
        raise CheckpointError(
            f"{target}: its agent contains custom code, which others could load only with --trust: "
            f"{', '.join(described.own_code) or described.policy_class}"
        )
    evaluation = evaluate_agent(source, episodes)
    folder.mkdir(parents=True)
    _copy_run(run, bundle, folder)
    notes = []
    picture = None
    if film:
        try:
            picture = _film_episode(source, folder)
        except (Sb3ExtError, gymnasium.error.Error) as error:
            notes.append(f"no film: {error}".splitlines()[0])
    paths = RunPaths(folder)
    facts = CardFacts(
        name=name,
        config=source.config,
        evaluation=evaluation,
        checkpoint=f"{paths.checkpoints.name}/{bundle.path.resolve().name}",
        step=bundle.step,
        algorithm_class=described.algorithm_class,
        has_statistics=bundle.read_normalization() is not None,
        config_text=run.config_text,
        film=picture,
        has_curves=paths.training_curves.exists(),
        versions={key.removesuffix("_version"): value for key, value in run.meta.items() if key.endswith("_version")},
    )
    write_model_card(facts, folder / "README.md")
    return Publication(folder, evaluation, tuple(notes))


def _copy_run(run: Run, bundle: Bundle, folder: Path) -> None:
    paths = RunPaths(folder)
    for attribute in _COPIED:
        origin: Path = getattr(run.paths, attribute)
        if origin.is_file():
            shutil.copyfile(origin, getattr(paths, attribute))
    evaluations = [line for line in read_evaluations(run.paths.evaluations) if line["step"] <= bundle.step]
    write_text(paths.evaluations, "".join(f"{json.dumps(line)}\n" for line in evaluations), durable=False)
    anonymous = replace(run.record, pid=None, host=None, boot_id=None, process_start_ticks=None, last_save_error=None)
    if anonymous.status not in WRITTEN_STATUSES or anonymous.status == "running":
        anonymous = replace(anonymous, status="stopped", stop_reason="published")
    write_json(paths.status, anonymous.to_json(), durable=False)
    meta = {key: value for key, value in run.meta.items() if key in _META or key.endswith("_version")}
    write_json(paths.meta, meta, durable=False)
    copy_for_playing(bundle, paths.checkpoints / bundle.path.resolve().name)


def _film_episode(source: AgentSource, folder: Path) -> str:
    """:return: name of the film"""
    if source.config.game is not None:
        raise CheckpointError("boards are not filmed")
    name = _choose_film_name()
    env = make_agent_env(source, num_envs=1, render_mode="rgb_array")
    with closing(VideoRecorder(env, folder / name)) as filmed:
        model: Any = load_agent(source, filmed)
        for _ in play(source, model, filmed, 1, max_steps=_FILM_STEPS):
            pass
    return name


def _choose_film_name() -> str:
    return "replay.gif" if find_spec("imageio_ffmpeg") is None else "replay.mp4"
