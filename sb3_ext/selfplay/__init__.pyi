from .frozen_opponent import freeze_model as freeze_model
from .frozen_opponent import load_opponent as load_opponent
from .games.game_registry import make_game as make_game
from .matches.match_play import play_match as play_match
from .opponents.opponent import Opponent as Opponent
from .opponents.opponent_registry import make_opponent as make_opponent
from .pool.pool import OpponentPool as OpponentPool
from .seats.self_play_env import SelfPlayVecEnv as SelfPlayVecEnv
