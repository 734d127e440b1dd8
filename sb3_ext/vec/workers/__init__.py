"""Worker processes that step several environments each, and ``WorkerVecEnv``, which combines them."""
