from .backends.batch_backend import BatchBackend as BatchBackend
from .backends.environment_backend import EnvironmentBackend as EnvironmentBackend
from .backends.separate_backend import SeparateBackend as SeparateBackend
from .check_finite import VecCheckFinite as VecCheckFinite
from .plain_spaces import PlainSpacesWrapper as PlainSpacesWrapper
from .sequential_vec_env import SequentialVecEnv as SequentialVecEnv
from .snapshots.snapshot_wrapper import SnapshotWrapper as SnapshotWrapper
from .workers.worker_vec_env import WorkerVecEnv as WorkerVecEnv
