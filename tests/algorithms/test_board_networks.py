"""BoardCNN: boards of any shape, alone or in a Dict."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from sb3_ext.algorithms.board_networks import BoardCNN


@pytest.mark.parametrize("arguments", [{}, {"channels": [8], "kernel_size": 4, "padding": 0}, {"channels": []}])
@pytest.mark.parametrize("shape", [(2, 6, 7), (3, 4, 4)])
def test_boards_of_any_shape_give_features(shape: tuple[int, ...], arguments: dict[str, object]) -> None:
    space = spaces.Box(0, 1, shape, np.int8)
    network = BoardCNN(space, features_dim=5, **arguments)  # type: ignore[arg-type]
    observations = torch.rand(3, *shape)
    features = network(observations)
    assert features.shape == (3, 5)
    mask = spaces.Box(0, 1, (7,), np.int8)
    wrapped = BoardCNN(spaces.Dict({"action_mask": mask, "observation": space}), features_dim=5, **arguments)  # type: ignore[arg-type]
    wrapped.load_state_dict(network.state_dict())
    assert torch.equal(wrapped({"observation": observations, "action_mask": torch.zeros(3, 7)}), features)


@pytest.mark.parametrize(
    ("space", "arguments"),
    [
        (spaces.Box(0, 1, (84,), np.int8), {}),
        (spaces.Discrete(3), {}),
        (spaces.Dict({"board": spaces.Box(0, 1, (2, 6, 7))}), {}),
        (spaces.Box(0, 1, (2, 3, 3), np.int8), {"kernel_size": 4, "padding": 0}),
    ],
)
def test_unsupported_observations_are_refused(space: spaces.Space[torch.Tensor], arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="BoardCNN"):
        BoardCNN(space, **arguments)  # type: ignore[arg-type]
