# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A CUDA device made of the CPU, as strict as CUDA is: streams and their order, recordings, faults that stay, a limit
of memory.

Every operation of torch is computed at once, in the memory of the host, while the stand-in keeps account of what a
device would be free to do:

* An operation is on the stream that is current. Where it reads or writes what another stream wrote or read, and nothing
  ordered the two (`wait_stream`, a host that waited), that is a `Race`.
* In a recording nothing is computed: what operations would have made is not a number until the recording is replayed.
  A host that reads meanwhile spoils it, as one that enqueues the unrecordable does.
* A fault stays: whatever is asked of the device afterwards fails, also giving memory back.
* Memory of the host is what a test says is the host's (`Cuda.host`), and what is pinned. A transfer from pinned memory
  that nobody waits for still reads it: a host that writes there before it waited for an event, or for the device, is a
  `Race`.
* There is so much memory. What torch frees it keeps in reserve, where another library's allocations find none of it.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique_consecutive", "equal"}
"""Operations whose result the host waits for."""
HOST = {"cpu", "tolist"}
"""Methods that bring values to the host."""
FAULT = "CUDA error: an illegal memory access was encountered"
IN_RECORDING = "CUDA error: operation not permitted when stream is capturing"


LARGE = 10_000
"""Allocations below this are not held against the capacity: counting them takes its time [bytes]."""


class Race(AssertionError):
    """Two streams use the same memory, and nothing says which comes first."""


class Stream:
    """Attributes:
    seen: How far each stream had come, as far as this one waited for it.
    """

    def __init__(self, cuda, name: str) -> None:
        self._cuda, self.name, self.cuda_stream, self.device = cuda, name, id(self), torch.device("cuda:0")
        self.seen: Counter = Counter()

    def wait_stream(self, other: Stream) -> None:
        self._cuda.check()
        self.seen |= other.seen

    def __repr__(self) -> str:
        return self.name


class On:
    """A stream is current within. Whoever enters and never leaves stays on it, as with torch's: no generator, which
    would leave when it is collected."""

    def __init__(self, cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream

    def __enter__(self) -> None:
        self._before, self._cuda.current = self._cuda.current, self._stream

    def __exit__(self, *_error) -> None:
        self._cuda.current = self._before


class Event:
    """Takes the place of `torch.cuda.Event`."""

    def __init__(self, cuda) -> None:
        self._cuda, self._seen, self._transfers = cuda, Counter(), Counter()

    def record(self, stream: Stream) -> None:
        self._cuda.check()
        self._seen, self._transfers = Counter(stream.seen), Counter(self._cuda.in_flight)

    def synchronize(self) -> None:
        self._cuda.check()
        self._cuda._host |= self._seen
        self._cuda.in_flight -= self._transfers
        self._transfers = Counter()


class Graph:
    """Takes the place of `torch.cuda.CUDAGraph`."""

    def __init__(self, cuda) -> None:
        self._cuda, self.steps, self.spoilt = cuda, [], ""

    def capture_begin(self, *_pool, capture_error_mode: str, **_options) -> None:
        assert capture_error_mode == "thread_local", "other threads use the device meanwhile"
        self._cuda.check()
        if self._cuda.cannot_record:
            raise RuntimeError(self._cuda.cannot_record)
        self._cuda.recording, self.stream = self, self._cuda.current
        self._cuda.recordings += 1

    def capture_end(self) -> None:
        self._cuda.recording = None
        if self.spoilt:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    def replay(self) -> None:
        for function, args, kwargs, result in self.steps:
            if not isinstance(function, torch._ops.OpOverload):  # another library's
                function()
                continue
            made = self._cuda.launch(function, args, kwargs)
            given = _memory(function, args, kwargs)
            for old, new in zip(_tensors(result), _tensors(made), strict=True):
                if _key(old) not in given:
                    self._cuda.keep(old, new)
        self._cuda.replays += 1


class Cuda(TorchDispatchMode):
    """The device, while it is entered.

    `Race` and `Graph` are here too, for tests, which do not import this file.

    Attributes:
        default: The stream that is current in the beginning.
        reads: How often the host waited for values.
        launches: How many operations were started one by one.
        recordings: How often a recording was begun.
        replays: How many recordings were replayed.
        transfers: Bytes of each copy from the host to the device.
        waiting: How many of those were from memory that is not pinned, so that the host waited.
        cannot_record: What the device says instead of recording; "" where it can.
        without: What the device says to some operations.
        left: Operations until torch finds no memory; None for never.
        capacity: Of the device [bytes].
        reserved: What torch holds of it [bytes]; freed tensors stay in there.
    """

    Race, Graph = Race, Graph

    def __init__(self) -> None:
        super().__init__()
        self._known_streams: set[Stream] = set()
        self.default = self.current = self.stream("default")
        self.recording: Graph | None = None
        self.reads = self.launches = self.replays = 0
        self.cannot_record, self.left, self.broken = "", None, False
        self.capacity, self.peak, self.reserved, self.recordings = 1 << 40, 0, 0, 0
        self.without: dict[str, str] = {}
        self.transfers, self.waiting = [], 0
        self.in_flight: Counter = Counter()
        self._of_host: dict[int, bool] = {}
        self._host: Counter = Counter()
        self._uses: dict[int, tuple[tuple | None, dict]] = {}
        self._own: dict[int, StorageWeakRef] = {}
        self._facade = Facade(self)

    def __enter__(self):
        super().__enter__()
        self._facade.__enter__()
        return self

    def __exit__(self, *args):
        self._facade.__exit__(*args)
        return super().__exit__(*args)

    # What a test does to it.

    def break_down(self) -> None:
        """A kernel has written where it must not: the process has lost the device."""
        self.broken = True

    @contextlib.contextmanager
    def left_out(self):
        """Tensors say that they are on the CPU, as without the stand-in."""
        with torch._C.DisableTorchFunction():
            yield

    def host(self, tensor):
        """The tensor, whose memory is the host's from now on."""
        self._of_host[_key(tensor)] = False
        return tensor

    # Memory of the host.

    def is_host(self, tensor) -> bool:
        return _key(tensor) in self._of_host

    def pin(self, tensor):
        self._of_host[_key(tensor)] = True
        return tensor

    def transfer(self, tensor, non_blocking: bool):
        """A copy on the device."""
        made = tensor.clone()
        self._of_host.pop(_key(made), None)
        self._use(made, self.current, True, torch.ops.aten.copy_.default)
        self.transfers.append(tensor.nbytes)
        if self._of_host[_key(tensor)] and non_blocking:
            self.in_flight[_key(tensor)] += 1
        else:
            self.waiting += 1
            self.waited()
        return made

    # `torch.cuda`.

    def stream(self, name: str = "") -> Stream:
        made = Stream(self, name or f"stream {len(self._known_streams)}")
        self._known_streams.add(made)
        return made

    def check(self) -> None:
        if self.broken:
            raise torch.AcceleratorError(FAULT)

    def synchronize(self, device=None) -> None:
        self.check()
        if self.recording is not None:
            self._spoil()
        for stream in self._known_streams:
            self._host |= stream.seen
        self.in_flight.clear()

    def empty_cache(self) -> None:
        self.check()
        self.reserved = self.allocated

    def on(self, stream: Stream) -> On:
        """As `torch.cuda.stream`."""
        return On(self, stream)

    def native(self, size: int) -> bool:
        """Another library allocates [bytes]; whether there was room outside of torch's reserve."""
        return self.reserved + size <= self.capacity

    def enqueue(self, work, handle: int) -> None:
        """Another library's work, on the stream that it was given; in a recording it waits for the replay."""
        self.check()
        assert handle == self.current.cuda_stream, "not on torch's current stream"
        if self.recording is not None and self.current is self.recording.stream:
            self.recording.steps.append((work, (), {}, None))
            return
        self.launches += 1
        work()

    # Operations.

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, function.overloadpacket.__name__
        self.check()
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if name in self.without:
            raise RuntimeError(self.without[name])
        if name in WAITS:
            self.waited()
        if self.recording is not None and self.current is self.recording.stream:
            return self._recorded(function, args, kwargs)
        self.launches += 1
        return self.launch(function, args, kwargs)

    def waited(self) -> None:
        """The host waits for the current stream."""
        if self.recording is not None:
            self._spoil()
        self.reads += 1
        self._host |= self.current.seen

    def launch(self, function, args, kwargs):
        """Computes, after a look at who else uses the memory."""
        stream = self.current
        stream.seen |= self._host
        stream.seen[stream] += 1
        operands = [*_operands(function, args, kwargs)]
        for tensor, written in operands:
            if not self.is_host(tensor):
                self._use(tensor, stream, written, function)
            elif written and self.in_flight[_key(tensor)]:
                raise Race(f"{function} writes pinned memory that a transfer may still be reading")
        result = function(*args, **kwargs)
        given = {_key(tensor) for tensor, _ in operands}
        by_host = bool(operands) and all(self.is_host(tensor) for tensor, _ in operands)
        for tensor in _tensors(result):
            if _key(tensor) not in given:
                self._take(tensor)
                if by_host:
                    self.host(tensor)
                else:
                    self._use(tensor, stream, True, function)
        return result

    def keep(self, old, new) -> None:
        """A replay has made values, which lie where those of the recording were to lie."""
        self._use(old, self.current, True, torch.ops.aten.copy_.default)
        with torch.utils._python_dispatch._disable_current_modes():
            old.copy_(new)

    def _recorded(self, function, args, kwargs):
        """What an operation makes has its shape, and no values yet."""
        changed = [tensor for tensor, written in _operands(function, args, kwargs) if written]
        with torch.utils._python_dispatch._disable_current_modes():
            before = [tensor.clone() for tensor in changed]
            result = function(*args, **kwargs)
            for tensor, values in zip(changed, before, strict=True):
                tensor.copy_(values)
            given = _memory(function, args, kwargs)
            for tensor in _tensors(result):
                if _key(tensor) not in given:
                    tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
        self.recording.steps.append((function, args, kwargs, result))
        return result

    def _spoil(self) -> None:
        self.recording.spoilt = IN_RECORDING
        raise RuntimeError(IN_RECORDING)

    def _use(self, tensor, stream: Stream, written: bool, function) -> None:
        key = _key(tensor)
        last, readers = self._uses.get(key, (None, {}))
        before = ([last] if last else []) + ([*readers.items()] if written else [])
        for other, moment in before:
            if other is not stream and stream.seen[other] < moment:
                what = "writes" if written else "reads"
                raise Race(f"{function} on {stream} {what} what {other} may still be at")
        now = stream.seen[stream]
        if written:
            last, readers = (stream, now), {}
        else:
            readers = readers | {stream: now}
        self._uses[key] = last, readers

    @property
    def allocated(self) -> int:
        """In torch's tensors [bytes]."""
        total = 0
        for key, reference in [*self._own.items()]:
            storage = torch.UntypedStorage._new_with_weak_ptr(reference.cdata)
            if storage is None:
                del self._own[key]
            else:
                total += storage.nbytes()
        return total

    def _take(self, tensor) -> None:
        """Accounts for a new tensor, whose memory nobody has used."""
        key, size = _key(tensor), tensor.untyped_storage().nbytes()
        self._uses.pop(key, None)
        self._of_host.pop(key, None)
        self._own[key] = StorageWeakRef(tensor.untyped_storage())
        if size < LARGE:
            return
        allocated = self.allocated
        if allocated > self.capacity:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes")
        self.peak, self.reserved = max(self.peak, allocated), max(self.reserved, allocated)


class Facade(TorchFunctionMode):
    """Lets tensors say that they are on the device, and the device's names mean the host."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        if name == "__get__" and owner is torch.Tensor.device:
            return torch.device("cpu" if self._cuda.is_host(args[0]) else "cuda:0")
        if name == "__get__" and owner is torch.Tensor.is_cuda:
            return not self._cuda.is_host(args[0])
        if name == "to" and self._cuda.is_host(args[0]) and _names_device(args, kwargs):
            return self._cuda.transfer(args[0], kwargs.get("non_blocking", False))
        if function is torch.device:
            return function(*args, **kwargs)
        if name in HOST and args and isinstance(args[0], torch.Tensor):
            self._cuda.check()
            self._cuda.waited()
        args, kwargs = tree_map(_on_host, (args, kwargs))
        pinned = kwargs.pop("pin_memory", False)
        made = function(*args, **kwargs)
        return self._cuda.pin(made) if pinned else made


def _names_device(args, kwargs) -> bool:
    named = [one for one in (*args[1:], *kwargs.values()) if isinstance(one, torch.device)]
    return any(one.type == "cuda" for one in named)


def _on_host(value):
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


def _tensors(tree) -> list:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


def _operands(function, args, kwargs):
    """Its tensors, each with whether it is written."""
    schema = function._schema.arguments
    for number, argument in enumerate(schema):
        value = args[number] if number < len(args) else kwargs.get(argument.name)
        for tensor in _tensors(value):
            yield tensor, argument.alias_info is not None and argument.alias_info.is_write


def _key(tensor) -> int:
    return tensor.untyped_storage()._cdata


def _memory(function, args, kwargs) -> set[int]:
    """Where its operands lie: a result that lies there too is a view, or an operand that was changed."""
    return {_key(tensor) for tensor, _ in _operands(function, args, kwargs)}


@contextlib.contextmanager
def cuda_stand_in(monkeypatch):
    """The device in the place of `torch.cuda`."""
    cuda = Cuda()
    for name, value in {
        "Stream": lambda device=None: cuda.stream(),
        "CUDAGraph": lambda: Graph(cuda),
        "Event": lambda: Event(cuda),
        "current_stream": lambda device=None: cuda.current,
        "stream": cuda.on,
        "synchronize": cuda.synchronize,
        "empty_cache": cuda.empty_cache,
        "graph_pool_handle": lambda: (0, 1),
        "is_initialized": lambda: True,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_capability": lambda device=None: (8, 6),
        "get_arch_list": lambda: ["sm_80", "sm_90"],
        "memory_allocated": lambda device=None: cuda.allocated,
        "memory_reserved": lambda device=None: max(cuda.reserved, 1),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    with cuda:
        yield cuda
