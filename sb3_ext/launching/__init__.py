"""Run several processes at a time: on this machine, as jobs of Slurm, or on a Ray cluster."""
