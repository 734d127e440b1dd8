"""The model card of an agent on the Hugging Face Hub: metrics for its pages, and how to play the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sb3_ext.atomic import write_text
from sb3_ext.config import RunConfig
from sb3_ext.evaluation.evaluate import Evaluation

_TASK = "reinforcement-learning"

_NORMALIZE = """
# The agent was trained on normalised observations:
with np.load(hf_hub_download("{name}", "{checkpoint}/vecnormalize.npz")) as file:
    statistics = dict(file)
settings = json.loads(str(statistics["configuration"]))
mean, variance = statistics["observations/mean"], statistics["observations/var"]


def normalize(observation):
    scaled = (observation - mean) / np.sqrt(variance + settings["epsilon"])
    return np.clip(scaled, -settings["clip_obs"], settings["clip_obs"])
"""

_PLAY = """
env = gym.make("{env_id}"{arguments})
observation, _ = env.reset()
done = False
while not done:
    action, _ = model.predict({observation}, deterministic=True)
    observation, reward, terminated, truncated, _ = env.step(action)
    done = terminated or truncated
"""


@dataclass(frozen=True)
class CardFacts:
    """
    What a card says.

    :param name: ``user/name``
    :param config: the run's configuration
    :param evaluation: of the agent
    :param checkpoint: its path in the repository
    :param step: of the checkpoint
    :param algorithm_class: full name of the class, such as ``stable_baselines3.ppo.ppo.PPO``
    :param has_statistics: whether observations or rewards are normalised
    :param config_text: the configuration as the user wrote it
    :param film: file name of the film; ``None`` without one
    :param has_curves: whether there is a picture of the training
    :param versions: package -> version that trained it
    """

    name: str
    config: RunConfig
    evaluation: Evaluation
    checkpoint: str
    step: int
    algorithm_class: str
    has_statistics: bool
    config_text: str
    film: str | None
    has_curves: bool
    versions: Mapping[str, Any]

    @property
    def class_name(self) -> str:
        """Name of the algorithm's class."""
        return self.algorithm_class.rpartition(".")[2]


def write_model_card(facts: CardFacts, path: Path) -> None:
    """
    :param facts: what the card says
    :param path: the file
    """
    metadata = yaml.safe_dump(make_metadata(facts), sort_keys=False, allow_unicode=True)
    write_text(path, f"---\n{metadata}---\n\n{_make_text(facts)}", durable=False)


def make_metadata(facts: CardFacts) -> dict[str, Any]:
    """
    :param facts: what the card says
    :return: the metadata in the Hub's format; its ``model-index`` names algorithm and environment as RL Zoo's cards do
    """
    task_id, evaluation = facts.config.task_id, facts.evaluation
    metrics = [_make_metric("mean_reward", f"{evaluation.mean_return:.2f} +/- {evaluation.std_return:.2f}")]
    if evaluation.success_rate is not None:
        metrics.append(_make_metric("success_rate", evaluation.success_rate))
    result = {
        "task": {"type": _TASK, "name": _TASK},
        "dataset": {"name": task_id, "type": task_id},
        "metrics": metrics,
    }
    return {
        "library_name": "stable-baselines3",
        "pipeline_tag": _TASK,
        "tags": [task_id, "deep-reinforcement-learning", _TASK, "stable-baselines3", "sb3-ext", facts.config.agent.id],
        "model-index": [{"name": facts.class_name, "results": [result]}],
    }


def _make_metric(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "name": kind, "value": value, "verified": False}


def _make_text(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    lines = [f"# {facts.class_name} on {facts.config.task_id}", ""]
    if facts.film is not None and facts.film.endswith(".gif"):
        lines += [f"![An episode]({facts.film})", ""]
    interval = "" if evaluation.ci95 is None else " to ".join(f"{end:.2f}" for end in evaluation.ci95)
    truncated = evaluation.truncated_episodes
    rows = {
        "mean return": f"{evaluation.mean_return:.2f} ± {evaluation.std_return:.2f}",
        "95 % interval of the mean": interval,
        "episodes": f"{evaluation.episodes}" + (f", {truncated} of them truncated" if truncated else ""),
        "mean length": f"{evaluation.mean_length:.1f} steps",
        "success rate": "" if evaluation.success_rate is None else f"{evaluation.success_rate:.1%}",
        "trained": f"{facts.step:,} steps",
    }
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items() if value), ""]
    if facts.has_curves:
        lines += ["![Training](training_curves.png)", ""]
    lines += ["## Play", "", "With sb3_ext, which reads no pickles:", ""]
    lines += ["```bash", "pip install 'sb3-ext[hub]'", f"sb3-ext enjoy hf:{facts.name}", "```", ""]
    lines += ["With Stable-Baselines3 alone, whose `load` runs any code in the file:", ""]
    lines += ["```python", _make_code(facts).strip(), "```", ""]
    lines += ["## Train", "", "`sb3-ext train config.yaml`, with this configuration:", ""]
    lines += ["```yaml", facts.config_text.rstrip(), "```", ""]
    lines += [f"Trained with {', '.join(f'{name} {version}' for name, version in facts.versions.items() if version)}."]
    return "\n".join(lines) + "\n"


def _make_code(facts: CardFacts) -> str:
    module, _, _ = facts.algorithm_class.rpartition(".")
    package = module if module.startswith("sb3_ext.") else module.partition(".")[0]
    env = facts.config.env
    normalizes = facts.has_statistics and env is not None and _normalizes_observations(env.normalize)
    lines = ["import gymnasium as gym"]
    if normalizes:
        lines = ["import json", "", *lines, "import numpy as np"]
    lines += ["from huggingface_hub import hf_hub_download", f"from {package} import {facts.class_name}", ""]
    download = f'hf_hub_download("{facts.name}", "{facts.checkpoint}/model.zip")'
    code = "\n".join([*lines, f"model = {facts.class_name}.load({download})"])
    if normalizes:
        code += "\n" + _NORMALIZE.format(name=facts.name, checkpoint=facts.checkpoint)
    if env is None or env.wrappers or env.frame_stack:
        return f"{code}\n# The environment needs the wrappers and the frame stack of config.yaml."
    if facts.config.train.curriculum:
        return f"{code}\n# The environment needs the changes of all stages of the curriculum in config.yaml."
    arguments = "".join(f", {name}={value!r}" for name, value in env.params.items())
    observation = "normalize(observation)" if normalizes else "observation"
    return code + "\n" + _PLAY.format(env_id=env.id, arguments=arguments, observation=observation)


def _normalizes_observations(setting: bool | Mapping[str, Any]) -> bool:
    return setting is True or (isinstance(setting, Mapping) and setting.get("norm_obs") is not False)
