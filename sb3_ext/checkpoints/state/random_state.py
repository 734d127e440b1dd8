"""Random number generators of the training process: the global ones and the action space's."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import set_random_seed

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.internals.gymnasium import get_generator
from sb3_ext.vec.global_random import GlobalRandomState, get_global_random_state, set_global_random_state
from sb3_ext.vec.snapshots.layer_snapshots import walk_spaces


def capture_random(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    """
    captured = get_global_random_state()
    version, words, next_gauss = captured.python
    numpy_words = captured.numpy["state"]["key"]
    state.arrays["random/python"] = np.array(words, np.uint32)
    state.arrays["random/numpy"] = numpy_words.copy()
    if captured.torch is not None:
        state.arrays["random/torch"] = captured.torch
    for device, device_state in enumerate(captured.cuda):
        state.arrays[f"random/cuda/{device}"] = device_state
    state.values["random"] = {
        "python": {"version": version, "next_gauss": next_gauss},
        "numpy": {**captured.numpy, "state": {"pos": captured.numpy["state"]["pos"]}},
        "cuda_devices": len(captured.cuda),
        "action_space": [
            None if generator is None else generator.bit_generator.state
            for generator in map(get_generator, walk_spaces(model.action_space))
        ],
    }


def seed_anew(model: BaseAlgorithm, rank: int) -> None:
    """
    Seed the generators of a rank that has none in the checkpoint.

    :param model: the restored model
    :param rank: index of this process
    """
    words = np.random.SeedSequence([model.seed or 0, model.num_timesteps, rank]).generate_state(1)
    seed = int(words[0]) >> 1  # as torch and Gymnasium expect it
    set_random_seed(seed, using_cuda=model.device.type == "cuda")
    model.action_space.seed(seed)


def restore_random(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Restore the generators; call this last, since other restoring may draw random numbers.

    :param model: made in the same way as the captured one
    :param state: the captured state
    """
    captured = state.values["random"]
    python = captured["python"]
    numpy_words = {"key": state.arrays["random/numpy"], **captured["numpy"]["state"]}
    set_global_random_state(
        GlobalRandomState(
            python=(python["version"], tuple(state.arrays["random/python"].tolist()), python["next_gauss"]),
            numpy={**captured["numpy"], "state": numpy_words},
            torch=state.arrays.get("random/torch"),
            cuda=tuple(state.arrays[f"random/cuda/{device}"] for device in range(captured["cuda_devices"])),
        )
    )
    for space, generator_state in zip(walk_spaces(model.action_space), captured["action_space"], strict=True):
        if generator_state is not None:
            space.np_random.bit_generator.state = generator_state
