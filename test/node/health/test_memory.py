# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from molmo_ros.node.health.memory import MemoryByState, MemoryUse, free_caches, memory_use

MIB = 2**20


def test_resident_memory_is_what_the_kernel_says():
    """VmRSS of /proc/self/status is another way to the same figure."""
    status = Path("/proc/self/status").read_text()
    kilobytes = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))
    assert memory_use().resident == pytest.approx(kilobytes * 1024, rel=0.05)


def test_what_is_allocated_shows_and_what_is_freed_goes():
    """In a process of its own: in this one, what other tests left may be freed meanwhile."""
    code = (
        "import numpy as np; from molmo_ros.node.health.memory import memory_use; before = memory_use().resident;"
        f"block = np.ones({64 * MIB}, np.uint8); held = memory_use().resident; del block;"
        "print(held - before, held - memory_use().resident)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert list(map(int, said.split())) == [pytest.approx(64 * MIB, rel=0.1)] * 2


def test_torch_is_not_imported():
    code = (
        "import sys; from molmo_ros.node.health.memory import memory_use; use = memory_use();"
        "assert use.gpu_allocated is None and use.gpu_reserved is None;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_torch_without_a_gpu_in_use_has_no_figures():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_initialized():
        pytest.skip("this process uses a GPU")
    use = memory_use()
    assert (use.gpu_allocated, use.gpu_reserved) == (None, None)


def test_torch_that_is_half_imported_has_no_figures(monkeypatch):
    """As it is seen while another thread loads the model."""
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert memory_use().gpu_allocated is None
    sys.modules["torch"].cuda = types.ModuleType("torch.cuda")
    assert memory_use().gpu_allocated is None


def test_torch_with_a_gpu_in_use():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    block = torch.zeros(64 * MIB, dtype=torch.uint8, device="cuda")
    use = memory_use()
    assert use.gpu_allocated == torch.cuda.memory_allocated() >= 64 * MIB
    assert use.gpu_reserved == torch.cuda.memory_reserved() >= use.gpu_allocated
    del block


def test_each_state_keeps_its_last_record():
    memory = MemoryByState()
    assert isinstance(memory.measure(), MemoryUse)  # before any state: nothing to keep it for
    assert memory.records() == {}
    memory.enter("inactive")
    block = np.ones(64 * MIB, np.uint8)
    loaded = memory.enter("active")
    assert loaded == memory.records()["active"]
    assert loaded.resident - memory.records()["inactive"].resident == pytest.approx(64 * MIB, rel=0.1)
    del block
    assert loaded.resident - memory.measure().resident == pytest.approx(64 * MIB, rel=0.1)
    assert memory.records()["active"].resident < loaded.resident
    assert list(memory.records()) == ["inactive", "active"]


def test_a_lost_gpu_gives_nothing_back_and_ends_nothing(cuda, caplog):
    cuda.empty_cache()
    cuda.break_down()
    free_caches()
    assert "illegal memory access" in caplog.text and "before the process ends" in caplog.text
