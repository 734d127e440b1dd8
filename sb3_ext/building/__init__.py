"""From the configuration to the objects that train; with the composition root the only reader of the config."""
