"""Load configurations: from YAML and overrides to one frozen :class:`RunConfig`, or to all mistakes at once."""

from sb3_ext.config.config_loading import (
    dump_config,
    load_config,
    locate_problems,
    mock_environment,
    restore_environment,
)
from sb3_ext.config.parallel_checks import takes_setting
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.shipped import find_shipped_configs
from sb3_ext.config.source import ConfigSource, Override, parse_override, read_source, validate_file

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
    "takes_setting",
    "validate_file",
]
