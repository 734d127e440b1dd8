"""What the user asked for: YAML and overrides in, one frozen :class:`RunConfig` or every mistake at once out."""

from sb3_ext.config.config_loading import (
    dump_config,
    load_config,
    locate_problems,
    mock_environment,
    restore_environment,
)
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.shipped import find_shipped_configs
from sb3_ext.config.source import ConfigSource, Override, parse_override, read_source

__all__ = [
    "ConfigSource",
    "Override",
    "RunConfig",
    "dump_config",
    "find_shipped_configs",
    "load_config",
    "locate_problems",
    "mock_environment",
    "parse_override",
    "read_source",
    "restore_environment",
]
