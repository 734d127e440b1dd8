"""Updates of LookaheadPPO and LookaheadMaskablePPO by the torch engine are those of their own ``train``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from parity import check_measuring, check_parity, compare_logs
from tape import check_replays, record_on_cpu

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.lookahead_ppo import LookaheadMaskablePPO, LookaheadPPO
from sb3_ext.callbacks import LookaheadCallback
from sb3_ext.engines.engine_registry import get_engine
from sb3_ext.engines.torch_updates.torch_lookahead import TorchLookaheadUpdate
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent

BOARD_NETWORK = {
    "features_extractor_class": BoardCNN,
    "features_extractor_kwargs": {"channels": [4], "kernel_size": 3, "padding": 0, "features_dim": 8},
}


def make_filled(algorithm: type[Any], **policy_kwargs: Any) -> Any:
    """Make a model that has a rollout and has learned nothing yet."""
    game = make_game("connect4", 6, {"rows": 3, "cols": 4, "in_a_row": 3})
    opponent = make_opponent("random", seed=0)
    env = SelfPlayVecEnv(game, opponent, illegal_move="random_legal", num_mirrors=3, seed=0)
    reflection = [np.arange(24).reshape(2, 3, 4)[..., ::-1].ravel().tolist(), [3, 2, 1, 0]]
    model: Any = algorithm(
        "MlpPolicy",
        env,
        n_steps=8,
        batch_size=18,  # the last one is shorter
        n_epochs=2,
        ent_coef=0.01,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [8], **policy_kwargs},
        rollout_buffer_kwargs={"num_mirrors": 3, "reflection": reflection},
    )
    model.train = lambda: None
    model.learn(48, callback=LookaheadCallback())
    del model.train
    with torch.no_grad():  # the network is no longer the one that has looked ahead
        for parameter in model.policy.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return model


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("algorithm", [LookaheadPPO, LookaheadMaskablePPO])
@pytest.mark.parametrize("network", [{}, BOARD_NETWORK], ids=["mlp", "board"])
def test_updates_are_the_same(algorithm: type[Any], network: dict[str, Any]) -> None:
    model = make_filled(algorithm, **network)
    assert isinstance(get_engine("torch").make_update(model), TorchLookaheadUpdate)
    check_parity(model, stock_tolerance=2, tolerance=2, engines=["torch"])
    compare_logs(model, engines=["torch"])
    check_measuring(model, "torch")


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
def test_replays_of_a_graph_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tapes = record_on_cpu(monkeypatch)
    model = make_filled(LookaheadMaskablePPO, **BOARD_NETWORK)
    model.lr_schedule = lambda _left: 2.0**-9  # a 32-bit number, as the tensor from which a graph reads it
    check_replays(model)
    # In each of three updates of two epochs, two minibatches of 18 rows and the rest; one more to check the graph.
    [tape] = tapes
    assert tape.replays >= 1 + 3 * 2 * 2
