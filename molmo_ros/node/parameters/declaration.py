"""Every parameter of the node, declared once as data: the node, its checks and the reference page read it.

`python -m molmo_ros.node.parameters > docs/parameters.md` writes the reference page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from molmo_ros.engine.runtime_table import ENGINES
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.node.parameters.optical_frames import optical_frame_error
from molmo_ros.node.records.query import MAX_CONTINUOUS, MAX_QUERY_CHARS, QueryError, continuous_queries
from molmo_ros.pictures.bit_depth import LEAST

Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]
CAMERA_NAME = re.compile(r"[A-Za-z]\w*")
"""What a camera may be called: its name is part of topic names."""


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter. Its type is the type of its default; a whole number is accepted for a double.

    Attributes:
        minimum, maximum: Inclusive bounds of a number.
        choices: The only strings accepted; empty means any.
        read_only: Set at start only.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def type_name(self) -> str:
        """The name ROS users know."""
        if isinstance(self.default, tuple):
            return "string_array" if isinstance(self.default[0], str) else "double_array"
        names = {bool: "bool", int: "integer", float: "double", str: "string"}
        return names[type(self.default)]

    @property
    def allowed(self) -> str:
        """The accepted values, for error messages and the reference page."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, tuple):
            return "texts" if isinstance(self.default[0], str) else f"{len(self.default)} numbers"
        if self.minimum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return {"bool": "true or false", "string": "any text"}[self.type_name]

    def error(self, value: Any) -> str:
        """Why `value` is refused, with what is allowed; "" when it is accepted."""
        if not self._accepts(value):
            shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."
            return f"{self.name} = {shown} is refused: it must be {self.type_name}, {self.allowed}"
        if self.name == "queries":
            return _queries_error(value)
        if self.name == "image_bits" and 0 < value < LEAST:
            return f"image_bits = {value} is refused: it must be 0 or {LEAST} to {self.maximum:g}"
        return _cameras_error(value) if self.name == "cameras" else ""

    def _accepts(self, value: Any) -> bool:
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if isinstance(self.default, str):
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if self.type_name == "string_array":
            texts = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
            return texts and all(isinstance(item, str) for item in value)
        if isinstance(self.default, tuple):
            return (
                not isinstance(value, str)
                and isinstance(value, Iterable)
                and [_is_finite_number(item) for item in value] == [True] * len(self.default)
            )
        if not _is_finite_number(value) or (isinstance(self.default, int) and not isinstance(value, int)):
            return False
        assert self.minimum is not None and self.maximum is not None
        return self.minimum <= value <= self.maximum


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _queries_error(queries: Iterable[str]) -> str:
    try:
        continuous_queries(list(queries))
    except QueryError as error:
        return f"queries is refused: {error}"
    return ""


def _cameras_error(names: Iterable[str]) -> str:
    known: list[str] = []
    for name in names:
        if not CAMERA_NAME.fullmatch(name):
            return f"cameras is refused: {name[:40]!r} must begin with a letter and hold letters, digits and _ only"
        if name in known:
            return f"cameras is refused: {name!r} is named twice"
        known.append(name)
    return "" if known else "cameras is refused: it must name at least one camera"


PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "model",
        "tiny",
        "The model: `tiny` is the embedded one; a name of `molmo-ros models` is one that was fetched; otherwise "
        "the folder of a Hugging Face checkpoint.",
        read_only=True,
    ),
    ParameterSpec("device", "cpu", "Where the model runs: `cpu`, `cuda` or `cuda:1`.", read_only=True),
    ParameterSpec(
        "dtype",
        "float32",
        "Number format of torch's weights; an engine has the one it was built with.",
        choices=tuple(DTYPE_BYTES),
        read_only=True,
    ),
    ParameterSpec(
        "engine",
        "auto",
        "What runs the model. `torch`; `onnx` or `tensorrt`: an engine of `molmo-ros build`, which the node itself "
        "never builds; `auto`: onnxruntime for a small model in float32 on the CPU, where it is faster, else torch.",
        choices=tuple(ENGINES),
        read_only=True,
    ),
    ParameterSpec(
        "engine_path",
        "",
        "Folder or name of the engine; empty means the newest one that was built for this model.",
        read_only=True,
    ),
    ParameterSpec(
        "threads",
        0,
        "Threads of the CPU that the model computes with; 0 means all cores, or OMP_NUM_THREADS where that is set. "
        "They sleep between queries.",
        minimum=0,
        maximum=1024,
        read_only=True,
    ),
    ParameterSpec(
        "autostart",
        True,
        "Configure and activate at start. Off for a life-cycle manager, which does it itself.",
        read_only=True,
    ),
    ParameterSpec(
        "cameras",
        ("camera",),
        "Names of the cameras. The topics of a single one are `image`, `depth` and `camera_info`; those of several "
        "are `NAME/image` and so on.",
        read_only=True,
    ),
    ParameterSpec(
        "image_transport",
        "raw",
        "How pictures come: `raw` on `image`, or `compressed` on `image/compressed`.",
        choices=("raw", "compressed"),
        read_only=True,
    ),
    ParameterSpec(
        "depth_transport",
        "raw",
        "How depth comes: `raw` on `depth`, `compressedDepth` on `depth/compressedDepth`, or `compressed` (16-bit PNG "
        "or TIFF) on `depth/compressed`.",
        choices=("raw", "compressedDepth", "compressed"),
        read_only=True,
    ),
    ParameterSpec(
        "image_bits",
        0,
        "How many bits of 16-bit pictures (mono16, bayer_rggb16, a 16-bit PNG, ...) the cameras use, 8 to 16; 0 means "
        "as many as the largest value so far takes, for each camera, and the log says how many. Depth is not affected.",
        0,
        16,
    ),
    ParameterSpec(
        "queries",
        ("",),
        "Continuous queries, asked again and again about each camera; empty ones are none. Each is written like a "
        f"message on the `query` topic, at most {MAX_QUERY_CHARS} characters, and there may be {MAX_CONTINUOUS}; "
        "`@wrist red cube` is about one camera.",
    ),
    ParameterSpec(
        "rate",
        1.0,
        "How often the continuous queries are asked about each camera, at most [Hz], wall time.",
        0.01,
        100.0,
    ),
    ParameterSpec(
        "tracking",
        False,
        "Follow the points of the continuous queries from frame to frame between answers: `~/objects` and the topics "
        "derived from it then come at the camera's rate, about its newest frame.",
    ),
    ParameterSpec(
        "max_frame_age",
        1.0,
        "Frames older than this when the work on them would start are refused with STALE [s]; 0 accepts any.",
        0.0,
        3600.0,
    ),
    ParameterSpec("max_queued_queries", 16, "Queries that may wait; more are refused with BUSY.", 1, 100),
    ParameterSpec("max_points", 0, "Stop after this many points; 0 means all.", 0, 10000),
    ParameterSpec(
        "min_confidence",
        0.0,
        "Points below this confidence are left out, and counted in the result; 0 keeps all. The result says whether "
        "the model's confidences are calibrated.",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "max_new_tokens", 0, "Longest answer [tokens]. 0 means 448, and 3584 for a count.", 0, 8192
    ),
    ParameterSpec("time_limit", 30.0, "Longest time for one answer [s]; 0 means no limit.", 0.0, 3600.0),
    ParameterSpec(
        "max_crops",
        0,
        "Most tiles that one image is cut into; 0 means as many as the model was trained with, and more than that is "
        "outside of what it knows.",
        0,
        1000,
    ),
    ParameterSpec(
        "latency_target",
        0.0,
        "Time that a query should take, image processing included [s]: the model looks at an image in as many tiles "
        "as are predicted to keep it, `max_crops` at most; 0 means no target. The first target costs a few queries "
        "for measuring.",
        0.0,
        3600.0,
    ),
    ParameterSpec(
        "use_depth",
        True,
        "Subscribe to `depth` and `camera_info` and publish points in metres.",
        read_only=True,
    ),
    ParameterSpec(
        "depth_window",
        7,
        "Edge of the square around a pixel from which its depth is read [px]; even counts as the next odd.",
        1,
        101,
    ),
    ParameterSpec(
        "depth_sync_tolerance",
        0.02,
        "Largest difference between the stamps of image and depth [s].",
        0.0,
        10.0,
    ),
    ParameterSpec(
        "depth_patience", 0.2, "How long an answer waits for depth that is still on its way [s].", 0.0, 5.0
    ),
    ParameterSpec("min_depth", 0.05, "Nearer depths are invalid [m].", 0.0, 1000.0),
    ParameterSpec("max_depth", 20.0, "Farther depths are invalid [m].", 0.0, 1000.0),
    ParameterSpec(
        "surface_normals",
        False,
        "Give each point the normal of the surface there: `~/points` then has poses whose z axis is the normal.",
    ),
    ParameterSpec(
        "target_frame",
        "",
        "Frame of the points in metres, by TF at the image's own stamp; empty means the camera's optical frame.",
    ),
    ParameterSpec(
        "optical_frame",
        "",
        "The optical frame (x right, y down, z forward) that pictures, depth and calibration are really in, where "
        "their headers name a body frame (x forward), as simulators do; several cameras: `NAME=FRAME NAME=FRAME`. "
        "Empty means the frame of the picture's header.",
    ),
    ParameterSpec(
        "depth_is_aligned",
        False,
        "Depth is aligned to the picture whatever its frame_id says: for drivers that name the frame of aligned depth "
        "wrongly.",
    ),
    ParameterSpec(
        "trust_camera_info",
        False,
        "camera_info is the picture's even where its frame_id is another, where its principal point lies far from the "
        "image's centre, or where P is that of a stereo pair's second camera.",
    ),
    ParameterSpec(
        "transform_patience",
        0.2,
        "How long an answer waits for a transform that is still on its way [s].",
        0.0,
        10.0,
    ),
    ParameterSpec(
        "image_is_rectified",
        False,
        "The image topic is rectified (`image_rect`): P of camera_info is used, not K and D.",
    ),
    ParameterSpec(
        "camera_matrix",
        (0.0, 0.0, 0.0, 0.0),
        "fx, fy, cx, cy of the image [px], used instead of camera_info where a driver's is wrong; "
        "zeros mean camera_info.",
    ),
)
SPECS = {spec.name: spec for spec in PARAMETERS}


def first_error(values: Iterable[tuple[str, Any]], cameras: Iterable[str] = ()) -> str:
    """Why the first refused of the (name, value) pairs is refused; "" when all are accepted.

    Names that are not this node's own (`use_sim_time`, `qos_overrides`) are left to their owners.

    Args:
        values: The pairs.
        cameras: The cameras' names, where they are known: queries may name no other.
    """
    known = list(cameras)
    for name, value in values:
        if name in SPECS and (error := SPECS[name].error(value)):
            return error
        if name == "optical_frame" and (error := optical_frame_error(value, known)):
            return error
        if name == "queries" and known:
            for camera in (query.camera for query in continuous_queries(list(value))):
                if camera and camera not in known:
                    return (
                        f"queries is refused: there is no camera {camera[:40]!r}; cameras: {', '.join(known)}"
                    )
    return ""


def declare_parameters(node: Any) -> None:
    """Declare all parameters on an rclpy node, checked from the first value on.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A value from the command line or a file is refused.
    """
    from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult

    def check(parameters: Any) -> Any:
        cameras = node.get_parameter("cameras").value if node.has_parameter("cameras") else ()
        reason = first_error(((parameter.name, parameter.value) for parameter in parameters), cameras)
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
    overrides = getattr(node, "_parameter_overrides", {})
    for spec in PARAMETERS:
        # The range goes in as text and the typing is dynamic because rclpy's own checks, which would come
        # first, do not say what is allowed, and refuse `rate: 2` for a double.
        descriptor = ParameterDescriptor(
            description=spec.description,
            additional_constraints=spec.allowed,
            read_only=spec.read_only,
            dynamic_typing=True,
        )
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        node.declare_parameter(spec.name, default, descriptor, ignore_override=_is_empty(spec, overrides))
    # ROS ignores a misspelt name in a parameter file; say so instead.
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith("qos_overrides"):
            node.get_logger().warning(f"unknown parameter {name}; known: {', '.join(SPECS)}")


def _is_empty(spec: ParameterSpec, overrides: Any) -> bool:
    """Whether a file or the command line gives an empty list, which comes without a type, and empty is allowed."""
    given = overrides.get(spec.name)
    return given is not None and given.value is None and spec.error(()) == ""


def markdown() -> str:
    """The reference page."""
    lines = [
        "# Parameters of molmo_node",
        "",
        "Generated by `python -m molmo_ros.node.parameters`; edit `molmo_ros/node/parameters/declaration.py` instead.",
        "",
        "| name | type | default | allowed | changeable | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for spec in PARAMETERS:
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        shown = str(default).lower() if isinstance(default, bool) else (default if default != "" else '""')
        changeable = "at start" if spec.read_only else "any time"
        cells = (f"`{spec.name}`", spec.type_name, f"`{shown}`", spec.allowed, changeable, spec.description)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
