# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A tree of frames whose transforms are known over time, with the semantics of tf2 (REP-105)."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable

from molmo_ros.geometry.frame_names import shown
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError

HISTORY_NS = 10_000_000_000
"""How long a moving frame's transforms are kept, back from its newest [ns]; as long as tf2 does."""


LIFETIME = 600.0
"""A moving frame is forgotten when nothing was heard of it for so long [s], of real time."""
MAX_FRAMES = 10_000
"""More frames are refused: a broadcaster that invents a name for each message would fill the memory."""
LISTED = 100
"""More frames are not listed in messages."""


class UnknownFrameError(TransformError):
    """No transform has named the frame."""


class NotConnectedError(TransformError):
    """Both frames are known, but in different trees."""


class ExtrapolationError(TransformError):
    """The time lies outside of what is known of a frame.

    Attributes:
        by: How far [s]: positive after the newest transform, negative before the oldest.
    """

    def __init__(self, message: str, by: float) -> None:
        super().__init__(message)
        self.by = by


class LoopError(TransformError):
    """The transform would make a frame its own ancestor."""


class StrayStampError(TransformError):
    """A transform whose stamp is far from the history of its frame; it counts once another one agrees with it."""


class TransformBuffer:
    """Remembers where each frame was in its parent, for the last ten seconds. Thread-safe.

    A frame has one parent. A transform to another parent, or one that turns a fixed frame into a moving one
    or back, replaces all that was known of the frame. Times are the stamps of messages [ns]. A moving frame that is
    not heard of any more is forgotten.

    Args:
        clock: Real time [s].
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()  # its lock is re-entrant: wait() calls lookup()
        self._frames: dict[str, _FrameInParent] = {}  # by the child's name; a root has no entry
        self._looked_through = clock()

    def set(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        parent_from_child: RigidTransform,
        static: bool = False,
    ) -> None:
        """Add what is known of `child` at one time; a repeated stamp replaces.

        Args:
            parent, child: Names of frames.
            stamp_ns: When [ns]; ignored for a static one.
            parent_from_child: Takes points of `child` to points of `parent`.
            static: The transform holds at all times (/tf_static).

        Raises:
            LoopError: `child` is `parent` or one of its ancestors.
            StrayStampError: The stamp is further from the frame's newest one than the history is long, as one of a
                wrong clock is: it holds at that very time only, until the next one agrees with it and both replace
                the history.
            TransformError: A name is empty, or there are too many frames.
        """
        if not parent or not child:
            raise TransformError(f"a transform needs two frames, got {shown(parent)} and {shown(child)}")
        with self._changed:
            ancestry = self._ancestry(parent)
            if child in ancestry:
                way = " in ".join(map(shown, ancestry[: ancestry.index(child) + 1]))
                raise LoopError(f"{shown(child)} cannot be in {shown(parent)}: that makes a loop ({way})")
            frame = self._frames.get(child)
            if frame is None:
                self._make_room(child)
            if frame is None or (frame.parent, frame.static) != (parent, static):
                frame = self._frames[child] = _FrameInParent(child, parent, static)
            frame.heard = self._clock()
            frame.add(0 if static else stamp_ns, parent_from_child)
            self._changed.notify_all()

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """The transform that takes points of `source` to points of `target`, at one time.

        Between two known times it is interpolated: straight line and slerp. A frame in itself is always
        the identity.

        Args:
            target, source: Names of frames.
            stamp_ns: When [ns]. Zero is a time like any other, not "the latest" as in tf2.

        Raises:
            UnknownFrameError: No transform names the frame; the message lists those known.
            NotConnectedError: No chain of transforms joins the two.
            ExtrapolationError: A transform between them is not known at that time.
        """
        if target == source:
            return RigidTransform()
        with self._changed:
            self._require_known(target, source)
            of_target, of_source = self._ancestry(target), self._ancestry(source)
            common = next((frame for frame in of_source if frame in of_target), None)
            if common is None:
                raise NotConnectedError(
                    f"{shown(source)} and {shown(target)} are not connected: {shown(source)} is below "
                    f"{shown(of_source[-1])}, {shown(target)} below {shown(of_target[-1])}"
                )
            common_from_source = self._join(of_source[: of_source.index(common)], stamp_ns)
            common_from_target = self._join(of_target[: of_target.index(common)], stamp_ns)
        return common_from_target.inverse() @ common_from_source

    def wait(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> RigidTransform:
        """As `lookup`, waiting for transforms that are still on their way.

        A time before the oldest known transform is not waited for: it will not come.

        Args:
            target, source, stamp_ns: See `lookup`.
            timeout_s: How long to wait [s], of real time whatever the stamps' clock does.

        Raises:
            TransformError: As `lookup`, where it still fails after the timeout.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                try:
                    return self.lookup(target, source, stamp_ns)
                except TransformError as error:
                    left = deadline - time.monotonic()
                    too_old = isinstance(error, ExtrapolationError) and error.by < 0
                    if left <= 0 or too_old:
                        raise
                self._changed.wait(left)

    def parents(self) -> dict[str, str]:
        """All frames that are known, by their children's names."""
        with self._changed:
            return {name: frame.parent for name, frame in self._frames.items()}

    def clear(self) -> None:
        """Forget the moving frames: the clock jumped. Static ones hold at all times and are sent only once."""
        with self._changed:
            self._frames = {name: frame for name, frame in self._frames.items() if frame.static}
            self._changed.notify_all()

    def _make_room(self, child: str) -> None:
        """Forgets the moving frames that are not heard of any more, before a new one comes."""
        now = self._clock()
        if now - self._looked_through > LIFETIME / 100:  # seldom: each of many would look at all others
            self._looked_through, old = now, now - LIFETIME
            kept = {name: one for name, one in self._frames.items() if one.static or one.heard >= old}
            self._frames = kept
        if len(self._frames) >= MAX_FRAMES:
            raise TransformError(
                f"{shown(child)} is one frame too many: {len(self._frames)} are known, as many as may be"
            )

    def _require_known(self, *names: str) -> None:
        known = self._frames.keys() | {frame.parent for frame in self._frames.values()}
        for name in names:
            if name not in known:
                listed = ", ".join(shown(one)[1:-1] for one in sorted(known)[:LISTED]) or "none yet"
                more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
                raise UnknownFrameError(f"the frame {shown(name)} is unknown; known: {listed}{more}")

    def _ancestry(self, name: str) -> list[str]:
        """The frame, its parent, and so on to the root."""
        names = [name]
        while frame := self._frames.get(names[-1]):
            names.append(frame.parent)
        return names

    def _join(self, names: list[str], stamp_ns: int) -> RigidTransform:
        """From the first of these frames to the parent of the last."""
        parent_from_first = RigidTransform()
        for name in names:
            parent_from_first = self._frames[name].at(stamp_ns) @ parent_from_first
        return parent_from_first


class _FrameInParent:
    """Where one frame was in its parent."""

    def __init__(self, name: str, parent: str, static: bool) -> None:
        self.name, self.parent, self.static, self.heard = name, parent, static, 0.0
        self._stray: tuple[int, RigidTransform] | None = None
        self._stamps: list[int] = []  # in order
        self._parent_from_frame_at: dict[int, RigidTransform] = {}

    def add(self, stamp: int, parent_from_frame: RigidTransform) -> None:
        if self._stamps and abs(stamp - self._stamps[-1]) > HISTORY_NS:
            self._add_stray(stamp, parent_from_frame)
        else:
            self._stray = None
            self._insert(stamp, parent_from_frame)

    def _add_stray(self, stamp: int, parent_from_frame: RigidTransform) -> None:
        """One far from the history is a mistake; two that follow each other there are a new history."""
        before, self._stray = self._stray, (stamp, parent_from_frame)
        if before is None or not 0 < stamp - before[0] <= HISTORY_NS:
            newest = self._stamps[-1]
            raise StrayStampError(
                f"its stamp {stamp * 1e-9:.3f} s is {abs(stamp - newest) * 1e-9:.3f} s "
                f"{'after' if stamp > newest else 'before'} the newest one; it counts once another one agrees"
            )
        self._stamps, self._parent_from_frame_at, self._stray = [], {}, None
        self._insert(*before)
        self._insert(stamp, parent_from_frame)

    def _insert(self, stamp: int, parent_from_frame: RigidTransform) -> None:
        if stamp not in self._parent_from_frame_at:
            insort(self._stamps, stamp)
        self._parent_from_frame_at[stamp] = parent_from_frame
        old = bisect_left(self._stamps, self._stamps[-1] - HISTORY_NS)
        for outdated in self._stamps[:old]:
            del self._parent_from_frame_at[outdated]
        del self._stamps[:old]

    def at(self, stamp: int) -> RigidTransform:
        if self.static:
            return self._parent_from_frame_at[0]
        if stamp in self._parent_from_frame_at:
            return self._parent_from_frame_at[stamp]
        # One that is sent with each picture of a camera on demand.
        if self._stray is not None and self._stray[0] == stamp > self._stamps[-1]:
            return self._stray[1]
        oldest, newest = self._stamps[0], self._stamps[-1]
        if not oldest < stamp < newest:
            raise self._extrapolation(stamp, oldest, newest)
        after = bisect_left(self._stamps, stamp)
        start, end = self._stamps[after - 1], self._stamps[after]
        fraction = (stamp - start) / (end - start)
        return self._parent_from_frame_at[start].interpolate(self._parent_from_frame_at[end], fraction)

    def _extrapolation(self, stamp: int, oldest: int, newest: int) -> ExtrapolationError:
        by = (stamp - newest if stamp > newest else stamp - oldest) * 1e-9
        side = "after the newest" if by > 0 else "before the oldest"
        return ExtrapolationError(
            f"{stamp * 1e-9:.3f} s is {abs(by):.3f} s {side} known transform of {shown(self.name)} in "
            f"{shown(self.parent)} (from {oldest * 1e-9:.3f} s to {newest * 1e-9:.3f} s)",
            by,
        )
