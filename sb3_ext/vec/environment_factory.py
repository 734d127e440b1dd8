"""Make one environment with its wrappers: a picklable function for any ``VecEnv``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium

from sb3_ext.arguments import convert_lists, import_name
from sb3_ext.errors import ConfigError, MissingExtraError, Sb3ExtError, describe_error
from sb3_ext.vec.attribute_forwarding import AttributeForwarding
from sb3_ext.vec.mask_method import replace_mask_method
from sb3_ext.vec.plain_spaces import use_plain_spaces
from sb3_ext.vec.process_lifetime import prepare_worker_process
from sb3_ext.vec.remake_wrapper import RemakeWrapper

_EXTRA_OF_MODULE = {"box2d": "box2d", "mujoco": "mujoco", "pygame": "video", "flax": "jax", "jax": "jax"}


@dataclass(frozen=True)
class EnvironmentFactory:
    """
    Make one environment with its wrappers, in the process that calls it.

    Spaces that SB3 does not support are converted where possible, see
    :class:`~sb3_ext.vec.plain_spaces.PlainSpacesWrapper`.

    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :param params: keyword arguments of the environment's constructor
    :param max_steps: truncate episodes after this many steps, instead of the environment's own limit
    :param wrappers: ``module.Class`` and keyword arguments, innermost first
    :param render_mode: as in Gymnasium
    :param is_remade: whether training may replace the environment by one with other arguments: then a
        :class:`~sb3_ext.vec.remake_wrapper.RemakeWrapper` goes around it
    """

    env_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    wrappers: Sequence[tuple[str, Mapping[str, Any]]] = ()
    render_mode: str | None = None
    is_remade: bool = False

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """
        :return: a new environment
        :raises ConfigError: if it or one of its wrappers cannot be made with these arguments
        :raises MissingExtraError: if it needs an extra that is not installed
        """
        import sb3_ext_envs  # noqa: F401 - registers its environments

        prepare_worker_process()
        if self.is_remade:
            return RemakeWrapper(replace(self, is_remade=False).make_with)
        arguments = dict(self.params)
        if self.render_mode is not None:
            arguments["render_mode"] = self.render_mode
        with explaining_failures(self.env_id):
            env: gymnasium.Env[Any, Any] = gymnasium.make(self.env_id, max_episode_steps=self.max_steps, **arguments)
        for index, (name, wrapper_arguments) in enumerate(self.wrappers):
            env = _wrap(env, f"env.wrappers.{index}", name, wrapper_arguments)
        with explaining_failures(self.env_id):
            return use_plain_spaces(env)

    def make_with(self, **params: Any) -> gymnasium.Env[Any, Any]:
        """
        :param params: arguments of the environment's constructor, in place of those of the same name
        :return: a new environment
        :raises ConfigError: see :meth:`__call__`
        :raises MissingExtraError: see :meth:`__call__`
        """
        return replace(self, params={**self.params, **params})()


def _wrap(env: gymnasium.Env[Any, Any], key: str, name: str, arguments: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    wrapper_class = import_name(name)
    # Wrappers of Gymnasium and SB3 read no attributes that only some environments have.
    is_known = str(wrapper_class.__module__).partition(".")[0] in ("gymnasium", "stable_baselines3")
    try:
        arguments = replace_mask_method(wrapper_class, env, convert_lists(wrapper_class, arguments))
        wrapped: gymnasium.Env[Any, Any] = wrapper_class(env if is_known else AttributeForwarding(env), **arguments)
    except Sb3ExtError:
        env.close()
        raise
    except Exception as error:
        env.close()
        is_worded = isinstance(error, gymnasium.error.Error | AssertionError | LookupError | TypeError | ValueError)
        message = _describe(error) if is_worded else describe_error(error)
        raise ConfigError(f"{key}: {name} cannot be put around the environment: {message}") from error
    return wrapped


@contextmanager
def explaining_failures(env_id: str) -> Iterator[None]:
    """
    Translate the errors of making an environment.

    :param env_id: of the environment
    :raises ConfigError: if it cannot be made with these arguments
    :raises MissingExtraError: if it needs an extra that is not installed
    """
    try:
        yield
    except Sb3ExtError:
        raise
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise describe_missing_dependency(env_id, error) from error
    except (gymnasium.error.Error, AssertionError, LookupError, TypeError, ValueError) as error:
        parameter = getattr(error, "parameter", None)  # of an OptionError of sb3_ext_envs
        key = "env.id" if parameter is None else f"env.params.{parameter}"
        raise ConfigError(f"{key}: '{env_id}' cannot be made: {_describe(error)}") from error
    except Exception as error:
        raise ConfigError(f"env.id: '{env_id}' cannot be made: {describe_error(error)}") from error


def describe_missing_dependency(
    env_id: str, error: ImportError | gymnasium.error.DependencyNotInstalled
) -> Sb3ExtError:
    """
    :param env_id: of the environment that cannot be made
    :param error: what its code raised
    :return: an error with the command that installs the missing package, if one of our extras contains it
    """
    own_extra = getattr(error, "extra", None)  # of an error of sb3_ext_envs
    if own_extra is not None:
        return MissingExtraError(f"environment '{env_id}'", own_extra, getattr(error, "condition", None))
    text = describe_error(error) if isinstance(error, ImportError) else _describe(error)
    for module, extra in _EXTRA_OF_MODULE.items():
        if module in text.lower():
            return MissingExtraError(f"environment '{env_id}'", extra)
    return ConfigError(f"env.id: '{env_id}' cannot be made: {text}")


def _describe(error: Exception) -> str:
    # Gymnasium's wrappers use assertions, some without a message.
    return " ".join(str(error).split()) or type(error).__name__
