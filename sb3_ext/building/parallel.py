"""Make the back end of the section ``parallel``, and fill the section in."""

from __future__ import annotations

from sb3_ext.arguments import read_parameters
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.backends.parallel_modes import AUTO, load_backend_class, make_backend


def make_configured_backend(parallel: ParallelConfig) -> EnvironmentBackend:
    """
    :param parallel: the section ``parallel``
    :return: the back end of its mode; that of ``sequential`` while the mode is ``auto``
    :raises ConfigError: if there is no such mode, or its settings contradict each other
    """
    return make_backend(parallel.mode, parallel.num_envs, parallel.settings)


def use_mode(parallel: ParallelConfig, mode: str) -> ParallelConfig:
    """
    :param parallel: the section ``parallel``
    :param mode: another mode
    :return: the section with this mode, the same number of environments, and the settings that the mode takes
    """
    taken = read_parameters(load_backend_class(mode))
    settings = {name: value for name, value in parallel.settings.items() if name in taken}
    return ParallelConfig(mode=mode, num_envs=parallel.num_envs).with_settings(settings)


def fill_parallel(parallel: ParallelConfig) -> ParallelConfig:
    """
    :param parallel: the section ``parallel``
    :return: the section with the values that follow from this machine, so that a resume elsewhere has them too, and
        with the defaults of ``params``
    """
    if parallel.mode == AUTO:
        return parallel
    backend = make_configured_backend(parallel)
    defaults = {
        name: parameter.default
        for name, parameter in read_parameters(type(backend)).items()
        if name not in ParallelConfig.model_fields and parameter.default is not parameter.empty
    }
    return parallel.with_settings({**defaults, **parallel.params, **backend.chosen})
