"""Worker processes, each with several environments, and the ``VecEnv`` that uses them."""
