"""The GPU as the driver knows it."""

from molmo_ros.engine.store.driver import gpu_capability
from molmo_ros.engine.tensorrt.targets import this_gpu


def test_it_is_torchs_gpu_or_none_where_torch_sees_none():
    gpu = this_gpu()
    assert gpu_capability() == (None if gpu is None else f"{gpu[0]}.{gpu[1]}")
