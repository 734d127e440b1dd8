"""
The ranges of the numbers that algorithms take: one table for each kind of arguments, by the argument's name.

A schedule must start and end in the range of its parameter, bounds included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sb3_ext.algorithms.schedules import parse_ends
from sb3_ext.problems import Problem
from sb3_ext.ranges import (
    BETWEEN_ZERO_AND_ONE,
    FINITE,
    FRACTION,
    FRACTION_BELOW_ONE,
    NON_NEGATIVE,
    NON_NEGATIVE_INTEGER,
    POSITIVE,
    POSITIVE_FRACTION,
    POSITIVE_INTEGER,
    POSITIVE_INTEGER_OR_MINUS_ONE,
    POSITIVE_OR_INFINITE,
    Range,
)

ALGORITHM_RANGES: dict[str, Range] = {
    "alive_bonus_offset": FINITE,
    "batch_size": POSITIVE_INTEGER,
    "buffer_size": POSITIVE_INTEGER,
    "cg_damping": NON_NEGATIVE,
    "cg_max_steps": POSITIVE_INTEGER,
    "clip_range": POSITIVE,
    "clip_range_vf": POSITIVE,
    "delta_std": POSITIVE,
    "ent_coef": NON_NEGATIVE,
    "exploration_final_eps": FRACTION,
    "exploration_fraction": POSITIVE_FRACTION,
    "exploration_initial_eps": FRACTION,
    "gae_lambda": FRACTION,
    "gamma": FRACTION,
    "gradient_steps": POSITIVE_INTEGER_OR_MINUS_ONE,  # -1: as many as steps were collected
    "learning_rate": NON_NEGATIVE,
    "learning_starts": NON_NEGATIVE_INTEGER,
    "line_search_max_iter": POSITIVE_INTEGER,
    "line_search_shrinking_factor": BETWEEN_ZERO_AND_ONE,
    "max_grad_norm": POSITIVE_OR_INFINITE,
    "n_critic_updates": POSITIVE_INTEGER,
    "n_delta": POSITIVE_INTEGER,
    "n_epochs": POSITIVE_INTEGER,
    "n_eval_episodes": POSITIVE_INTEGER,
    "n_steps": POSITIVE_INTEGER,
    "n_top": POSITIVE_INTEGER,
    "policy_delay": POSITIVE_INTEGER,
    "rms_prop_eps": POSITIVE,
    "sde_sample_freq": POSITIVE_INTEGER_OR_MINUS_ONE,  # -1: at the start of a rollout only
    "stats_window_size": POSITIVE_INTEGER,
    "sub_sampling_factor": POSITIVE_INTEGER,
    "target_entropy": FINITE,
    "target_kl": POSITIVE,
    "target_noise_clip": NON_NEGATIVE,
    "target_policy_noise": NON_NEGATIVE,
    "target_update_interval": POSITIVE_INTEGER,
    "tau": POSITIVE_FRACTION,
    "top_quantiles_to_drop_per_net": NON_NEGATIVE_INTEGER,
    "train_freq": POSITIVE_INTEGER,
    "vf_coef": NON_NEGATIVE,
}
"""``agent.params``, of all algorithms."""

POLICY_RANGES: dict[str, Range] = {
    "batch_norm_eps": POSITIVE,
    "batch_norm_momentum": POSITIVE_FRACTION,
    "clip_mean": NON_NEGATIVE,  # 0 switches off
    "log_std_init": FINITE,
    "lstm_hidden_size": POSITIVE_INTEGER,
    "n_critics": POSITIVE_INTEGER,
    "n_lstm_layers": POSITIVE_INTEGER,
    "n_quantiles": POSITIVE_INTEGER,
    "net_arch": POSITIVE_INTEGER,
    "renorm_warmup_steps": NON_NEGATIVE_INTEGER,
}
"""``policy_kwargs``, of all policies."""

FEATURES_EXTRACTOR_RANGES: dict[str, Range] = {
    "channels": POSITIVE_INTEGER,
    "cnn_output_dim": POSITIVE_INTEGER,
    "features_dim": POSITIVE_INTEGER,
    "kernel_size": POSITIVE_INTEGER,
    "padding": NON_NEGATIVE_INTEGER,
}
"""``policy_kwargs.features_extractor_kwargs``, of SB3's and this package's classes."""

OPTIMIZER_RANGES: dict[str, Range] = {
    "alpha": FRACTION,
    "beta2_decay": FINITE,
    "betas": FRACTION_BELOW_ONE,
    "d": POSITIVE,
    "dampening": FINITE,
    "eps": NON_NEGATIVE,
    "etas": POSITIVE,
    "history_size": POSITIVE_INTEGER,
    "initial_accumulator_value": NON_NEGATIVE,
    "lambd": NON_NEGATIVE,
    "lr_decay": NON_NEGATIVE,
    "max_eval": POSITIVE_INTEGER,
    "max_iter": POSITIVE_INTEGER,
    "momentum": NON_NEGATIVE,
    "momentum_decay": NON_NEGATIVE,
    "ns_coefficients": FINITE,
    "ns_steps": POSITIVE_INTEGER,
    "rho": FRACTION,
    "step_sizes": POSITIVE,
    "t0": NON_NEGATIVE,
    "tolerance_change": NON_NEGATIVE,
    "tolerance_grad": NON_NEGATIVE,
    "weight_decay": NON_NEGATIVE,
}
"""``policy_kwargs.optimizer_kwargs``, of torch's classes and SB3's RMSpropTFLike."""

LSTM_RANGES: dict[str, Range] = {"dropout": FRACTION, "proj_size": NON_NEGATIVE_INTEGER}
"""``policy_kwargs.lstm_kwargs``."""

BUFFER_RANGES: dict[str, Range] = {
    "gamma": FRACTION,
    "n_sampled_goal": NON_NEGATIVE_INTEGER,
    "n_steps": POSITIVE_INTEGER,
}
"""``replay_buffer_kwargs`` and ``rollout_buffer_kwargs``."""

NOISE_RANGES: dict[str, Range] = {"mean": FINITE, "std": NON_NEGATIVE}
"""``action_noise``."""


def find_schedule_problems(params: Mapping[str, Any], ranges: Mapping[str, Range]) -> Iterator[Problem]:
    """
    :param params: ``agent.params`` as they come from YAML
    :param ranges: of the algorithm's arguments
    :return: one problem a schedule that leaves the range of its parameter
    """
    for name, value in params.items():
        if name in ranges:
            allowed = ranges[name].close()
            beyond = [number for number in parse_ends(value) if number not in allowed]
            if beyond:
                yield Problem((name,), f"{allowed.describe_mistake(beyond[0])} in '{value}'")
