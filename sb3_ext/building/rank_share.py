"""
The share of one rank in a configuration.

Numbers in a configuration are totals over all ranks: environments, rows of a minibatch, transitions in the replay
buffer. Steps and episodes are counted over all ranks, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from sb3_ext.algorithms.algorithm_registry import Algorithm, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.schema import AgentConfig, RunConfig
from sb3_ext.errors import ConfigError
from sb3_ext.ranks.placement import RankPlacement

_UNSUPPORTED = {
    "trpo": "its line search is not a gradient step",
    "ars": "it has no gradients",
    "crossq": "its batch normalisation has statistics of one rank's minibatches",
}


def validate_ranks(config: RunConfig, size: int) -> None:
    """
    Check that ranks can share the training of a configuration.

    :param config: the whole configuration
    :param size: number of ranks
    :raises ConfigError: with one line for each key that they cannot share
    """
    problems = list(_find_problems(config, size))
    if problems:
        raise ConfigError(problems)


def share_config(config: RunConfig, placement: RankPlacement) -> RunConfig:
    """
    Compute the share of one rank.

    :param config: the whole configuration, which :func:`validate_ranks` accepts
    :param placement: the rank
    :return: the configuration that this rank trains with: its number of environments, seed, batch size and so on
    """
    if placement.size == 1:
        return config
    num_envs = config.parallel.num_envs // placement.size
    return config.model_copy(
        update={
            # SB3 adds the index of an environment to the seed: each has the seed that it has in one process.
            "seed": None if config.seed is None else config.seed + placement.rank * num_envs,
            "parallel": _share_parallel(config.parallel, placement),
            "agent": _share_agent(config, placement),
        }
    )


def _find_problems(config: RunConfig, size: int) -> Iterator[str]:
    algorithm = get_algorithm(config.agent.id)
    if algorithm.family in _UNSUPPORTED:
        yield f"agent.id: {config.agent.id} cannot be trained by {size} ranks: {_UNSUPPORTED[algorithm.family]}"
    num_envs = config.parallel.num_envs
    if num_envs < size:
        yield f"parallel.num_envs: each of the {size} ranks needs an environment, found {num_envs}"
    elif num_envs % size:
        yield f"parallel.num_envs: expected a multiple of the number of ranks, {size}, found {num_envs}"
    batch_size = _fill(config, algorithm).get("batch_size")
    if isinstance(batch_size, int) and batch_size % size:
        yield f"agent.params.batch_size: expected a multiple of the number of ranks, {size}, found {batch_size}"


def _fill(config: RunConfig, algorithm: Algorithm) -> dict[str, Any]:
    return dict(fill_parameters(algorithm, config.agent.params, with_inherited=True))


def _share_parallel(parallel: ParallelConfig, placement: RankPlacement) -> ParallelConfig:
    workers = parallel.num_workers
    shared = None if workers is None else max(1, workers // placement.size)
    return parallel.model_copy(update={"num_envs": parallel.num_envs // placement.size, "num_workers": shared})


def multiply_parallel(parallel: ParallelConfig, size: int) -> ParallelConfig:
    """
    Compute the section ``parallel`` of the whole configuration.

    :param parallel: the section of one rank
    :param size: number of ranks
    :return: the section with the environments and workers of all ranks
    """
    workers = parallel.num_workers
    total = None if workers is None else workers * size
    return parallel.model_copy(update={"num_envs": parallel.num_envs * size, "num_workers": total})


def _share_agent(config: RunConfig, placement: RankPlacement) -> AgentConfig:
    size, algorithm = placement.size, get_algorithm(config.agent.id)
    filled, params = _fill(config, algorithm), dict(config.agent.params)
    if isinstance(filled.get("batch_size"), int):
        params["batch_size"] = filled["batch_size"] // size
    if algorithm.is_off_policy:
        params["buffer_size"] = max(1, filled["buffer_size"] // size)
    if algorithm.has_epsilon:
        # SB3 divides it by the number of environments of this process.
        params["target_update_interval"] = max(1, filled["target_update_interval"] // size)
    if filled.get("gradient_steps") == -1:  # as many as transitions, of all ranks
        train_freq = filled["train_freq"]
        count = train_freq if isinstance(train_freq, int) else train_freq[0]
        params["gradient_steps"] = count * config.parallel.num_envs
    device = config.agent.device or "auto"
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{placement.local_rank % torch.cuda.device_count()}"
    return config.agent.model_copy(update={"params": params, "device": device})
