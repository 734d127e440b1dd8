"""Use Gymnasium's vector environments as SB3's ``VecEnv``."""
