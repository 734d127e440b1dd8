"""Train one model with several processes, the ranks of a group; see the README in this folder."""
