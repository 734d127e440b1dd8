from .frozen import freeze_model as freeze_model
from .frozen import load_opponent as load_opponent
from .game_registry import make_game as make_game
from .matches import play_match as play_match
from .opponent_registry import make_opponent as make_opponent
from .pool import OpponentPool as OpponentPool
from .seat import SelfPlayVecEnv as SelfPlayVecEnv
