from .check_finite import VecCheckFinite as VecCheckFinite
from .plain_spaces import PlainSpacesWrapper as PlainSpacesWrapper
from .workers import WorkerVecEnv as WorkerVecEnv
