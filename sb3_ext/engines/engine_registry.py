"""Registry of engines by their names in a configuration. Importing this module imports neither torch nor JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sb3_ext.errors import ConfigError
from sb3_ext.extensions import Registry

if TYPE_CHECKING:
    from sb3_ext.engines.engine import Engine

AUTO_ENGINE = "auto"
"""Name in a configuration with which the engine is chosen at the start of the run."""

STOCK_ENGINE = "stock"
"""Name of the engine that leaves a model as Stable-Baselines3 made it."""

TORCH_ENGINE = "torch"
"""Name of the engine that needs no other packages than Stable-Baselines3 does."""

TORCH_BFLOAT16_ENGINE = "torch_bfloat16"
"""Name of the engine that computes features of images and boards in bfloat16."""

XLA_ENGINE = "xla"
"""Name of the engine that compiles updates with JAX."""

ENGINE_NAMES = Registry(
    "engine",
    {
        STOCK_ENGINE: "sb3_ext.engines.engine:StockEngine",
        TORCH_ENGINE: "sb3_ext.engines.torch_engine:TorchEngine",
        TORCH_BFLOAT16_ENGINE: "sb3_ext.engines.torch_engine:TorchBfloat16Engine",
        XLA_ENGINE: "sb3_ext.engines.xla_engine:XlaEngine",
    },
    "sb3_ext.engines",
    reserved=(AUTO_ENGINE,),
)
"""Every engine that a configuration can name."""


def get_engine(engine_id: str) -> Engine:
    """
    Import an engine that a configuration names.

    :param engine_id: ``stock``, ``torch``, ``torch_bfloat16``, ``xla``, a name that an installed package registers, or
        ``module:Name``
    :return: the engine
    :raises ConfigError: if there is no such engine; the message suggests the most similar name
    """
    from sb3_ext.engines.engine import Engine

    try:
        found = ENGINE_NAMES.load(engine_id)
    except LookupError as error:
        raise ConfigError(f"agent.engine: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise ConfigError(f"agent.engine: '{engine_id}' is not a subclass of sb3_ext.engines.engine.Engine")
    engine: Engine = found(engine_id)
    return engine
