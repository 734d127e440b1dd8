"""Train one configuration with several seeds: a directory with a run for each seed."""
