"""The network in a web page chooses the actions of ``predict``, in JavaScript and in the check before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from torch import nn

from page_agents import AGENTS, make_page_agent
from page_scripts import PageScripts
from sb3_ext.errors import ExportError
from sb3_ext.exporting.action_comparison import ActionComparison
from sb3_ext.exporting.observation_source import PlayingAgent
from sb3_ext.exporting.web_page import compare_network, describe_page_agent

OBSERVATIONS = 120
DECIDE = """(() => {
  const agents = rows[0].map(() => new Agent(description));
  return rows.map((row) => row.map(([observation, legal, starts], i) => {
    if (starts) agents[i].begin();
    const { action, preferences, value } = agents[i].decide(observation, legal);
    return [action, preferences, value];
  }));
})()"""


@pytest.mark.parametrize("name", AGENTS)
def test_actions_are_those_of_predict(name: str) -> None:
    agent = make_page_agent(name)
    description = describe_page_agent(agent, AGENTS[name][0], {})
    batches = list(agent.predict(OBSERVATIONS))
    rows = []
    for batch in batches:
        observations: Any = batch.observations
        legal: Any = batch.masks
        if isinstance(observations, dict):
            legal, observations = observations["action_mask"] > 0, observations["observation"]
        numbers = observations.reshape(len(observations), -1).tolist()
        masks = [None] * len(numbers) if legal is None else legal.tolist()
        rows.append(list(zip(numbers, masks, batch.starts.tolist(), strict=True)))
    decided = PageScripts("network.js").run(DECIDE, description=description, rows=rows)

    comparison = ActionComparison(agent.env.action_space)
    are_values = description["output"]["kind"] == "values"
    for batch, decisions in zip(batches, decided, strict=True):
        actions = np.array([action for action, _, _ in decisions])
        preferences = np.array([numbers for _, numbers, _ in decisions])
        comparison.add(actions, batch.actions, preferences, are_values=are_values)
    checked = compare_network(description, agent, OBSERVATIONS)
    for found in (comparison, checked):
        assert (found.observations, found.differing) == (OBSERVATIONS, 0)
        assert found.near_ties <= 1
    assert len(np.unique(np.concatenate([batch.actions for batch in batches]), axis=0)) > 1
    has_critic = description["critic"] is not None
    assert all((value is not None) == (has_critic or are_values) for _, _, value in decided[0])


def test_probabilities_and_values_are_those_of_the_policy() -> None:
    agent = make_page_agent("ppo, tic-tac-toe")
    description = describe_page_agent(agent, "tictactoe", {})
    [batch] = agent.predict(4)
    policy = agent.model.policy
    tensors = policy.obs_to_tensor(batch.observations)[0]
    rows = [[(row.ravel().tolist(), None, True) for row in batch.observations]]
    [decided] = PageScripts("network.js").run(DECIDE, description=description, rows=rows)

    probabilities = policy.get_distribution(tensors).distribution.probs.detach().numpy()
    np.testing.assert_allclose([row[1] for row in decided], probabilities, atol=1e-6)
    np.testing.assert_allclose([row[2] for row in decided], policy.predict_values(tensors).detach()[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=8, batch_size=8), "a recurrent policy"),
        (
            lambda: PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"activation_fn": nn.Softplus, "net_arch": [4]}),
            "the layer Softplus",
        ),
        (lambda: PPO("MlpPolicy", "Pendulum-v1", use_sde=True), "by a StateDependentNoiseDistribution"),
    ],
)
def test_what_a_page_cannot_compute_is_refused(make: Any, message: str) -> None:
    model = make()
    with pytest.raises(ExportError, match=f"the agent of here has .*{message}, which a web page cannot compute"):
        describe_page_agent(PlayingAgent(model, model.get_env()), "here", {})
