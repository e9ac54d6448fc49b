# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Every parameter of the node, declared once as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from molmo_ros.engine.runtime_table import ENGINES, REMOTE
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.node.parameters.optical_frames import optical_frame_error
from molmo_ros.node.parameters.parameter_spec import parameter, parameters_of
from molmo_ros.node.parameters.value_checks import (
    cameras_error,
    image_bits_error,
    queries_error,
    unknown_camera_error,
)
from molmo_ros.node.records.query import MAX_CONTINUOUS, MAX_QUERY_CHARS, Query, continuous_queries


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one time.

    The declaration: each field is a parameter, and what is said of it here is all that the node, its checks, the
    command line, the launch files and the reference page know.
    """

    model: str = parameter(
        "tiny",
        "The model: `tiny` is the embedded one; a name of `molmo-ros models` is one that was fetched; otherwise "
        "the folder of a Hugging Face checkpoint.",
        read_only=True,
    )
    device: str = parameter(
        "cpu",
        "Where the model runs: `cpu`, `cuda` or `cuda:1`.",
        read_only=True,
    )
    dtype: str = parameter(
        "float32",
        "Number format of torch's weights; an engine has the one it was built with.",
        choices=tuple(DTYPE_BYTES),
        read_only=True,
    )
    engine: str = parameter(
        "auto",
        "What runs the model. `torch`; `onnx` or `tensorrt`: an engine of `molmo-ros build`, which the node itself "
        "never builds; `auto`: onnxruntime for a small model in float32 on the CPU, where it is faster, else torch; "
        "`remote`: the model of a server on the network, for which this machine needs neither weights nor torch.",
        choices=tuple(ENGINES),
        read_only=True,
    )
    engine_path: str = parameter(
        "",
        "Folder or name of the engine; empty means the newest one that was built for this model.",
        read_only=True,
    )
    server: str = parameter(
        "",
        "Address of the server of engine `remote`, such as `http://192.168.1.20:8000`: `molmo-ros serve`, vLLM, "
        "SGLang, or another with OpenAI's chat completions. Its key is taken from the environment variable "
        "`MOLMO_ROS_SERVER_KEY`, never from here.",
        read_only=True,
    )
    server_model: str = parameter(
        "",
        "What the server calls the model; empty means `model` where that is not `tiny`, else the only one it has.",
        read_only=True,
    )
    server_family: str = parameter(
        "",
        "In whose words the server's model is asked; empty means by its name.",
        choices=("", *FAMILIES),
        read_only=True,
    )
    server_certificate: str = parameter(
        "",
        "File (PEM) with the certificate that the server's is signed by, for https; empty means those that the system "
        "trusts.",
        read_only=True,
    )
    server_patience: float = parameter(
        10.0,
        "How long the server may say nothing, before an answer and within it [s]. With a fallback it has half of a "
        "query's `time_limit` at most.",
        0.05,
        3600.0,
        read_only=True,
    )
    server_jpeg_quality: int = parameter(
        0,
        "Quality of the pictures that are sent to the server, as JPEG, 1 to 100; 0 means PNG, the very pixels.",
        0,
        100,
        read_only=True,
    )
    fallback_model: str = parameter(
        "",
        "The model of this machine that answers while the server is away, as `model` would name it; empty means none. "
        "It is loaded with the node, on `device`, as `dtype`.",
        read_only=True,
    )
    fallback_engine: str = parameter(
        "auto",
        "What runs the fallback, as `engine` would name it.",
        choices=tuple(name for name in ENGINES if name != REMOTE),
        read_only=True,
    )
    threads: int = parameter(
        0,
        "Threads of the CPU that the model computes with; 0 means all cores, or OMP_NUM_THREADS where that is set. "
        "They sleep between queries.",
        minimum=0,
        maximum=1024,
        read_only=True,
    )
    autostart: bool = parameter(
        True,
        "Configure and activate at start. Off for a life-cycle manager, which does it itself.",
        read_only=True,
    )
    cameras: tuple[str, ...] = parameter(
        ("camera",),
        "Names of the cameras. The topics of a single one are `image`, `depth` and `camera_info`; those of several "
        "are `NAME/image` and so on.",
        read_only=True,
        check=cameras_error,
    )
    image_transport: str = parameter(
        "raw",
        "How pictures come: `raw` on `image`, or `compressed` on `image/compressed`.",
        choices=("raw", "compressed"),
        read_only=True,
    )
    depth_transport: str = parameter(
        "raw",
        "How depth comes: `raw` on `depth`, `compressedDepth` on `depth/compressedDepth`, or `compressed` (16-bit PNG "
        "or TIFF) on `depth/compressed`.",
        choices=("raw", "compressedDepth", "compressed"),
        read_only=True,
    )
    depth_source: str = parameter(
        "image",
        "What depth is: `image`, a depth image on `depth`, which is registered by `depth/camera_info` where it is not "
        "aligned to the picture; or `points`, a cloud (sensor_msgs/PointCloud2) on `points`, in any frame that TF "
        "knows.",
        choices=("image", "points"),
        read_only=True,
    )
    image_bits: int = parameter(
        0,
        "How many bits of 16-bit pictures (mono16, bayer_rggb16, a 16-bit PNG, ...) the cameras use, 8 to 16; 0 means "
        "as many as the largest value so far takes, for each camera, and the log says how many. Depth is not affected.",
        0,
        16,
        check=image_bits_error,
    )
    queries: tuple[str, ...] = parameter(
        ("",),
        "Continuous queries, asked again and again about each camera; empty ones are none. Each is written like a "
        f"message on the `query` topic, at most {MAX_QUERY_CHARS} characters, and there may be {MAX_CONTINUOUS}; "
        "`@wrist red cube` is about one camera.",
        check=queries_error,
    )
    rate: float = parameter(
        1.0,
        "How often the continuous queries are asked about each camera, at most [Hz], wall time.",
        0.01,
        100.0,
    )
    tracking: bool = parameter(
        False,
        "Follow the points of the continuous queries from frame to frame between answers: `~/objects` and the topics "
        "derived from it then come at the camera's rate, about its newest frame.",
    )
    max_frame_age: float = parameter(
        1.0,
        "Frames older than this when the work on them would start are refused with STALE [s]; 0 accepts any.",
        0.0,
        3600.0,
    )
    max_queued_queries: int = parameter(
        16,
        "Queries that may wait; more are refused with BUSY.",
        1,
        100,
    )
    max_points: int = parameter(
        0,
        "Stop after this many points; 0 means all.",
        0,
        10000,
    )
    min_confidence: float = parameter(
        0.0,
        "Points below this confidence are left out, and counted in the result; 0 keeps all. The result says whether "
        "the model's confidences are calibrated.",
        0.0,
        1.0,
    )
    max_new_tokens: int = parameter(
        0,
        "Longest answer [tokens]. 0 means 448, and 3584 for a count.",
        0,
        8192,
    )
    time_limit: float = parameter(
        30.0,
        "Longest time for one answer [s]; 0 means no limit.",
        0.0,
        3600.0,
    )
    max_crops: int = parameter(
        0,
        "Most tiles that one image is cut into; 0 means as many as the model was trained with, and more than that is "
        "outside of what it knows.",
        0,
        1000,
    )
    latency_target: float = parameter(
        0.0,
        "Time that a query should take, image processing included [s]: the model looks at an image in as many tiles "
        "as are predicted to keep it, `max_crops` at most; 0 means no target. The first target costs a few queries "
        "for measuring.",
        0.0,
        3600.0,
    )
    use_depth: bool = parameter(
        True,
        "Subscribe to depth and `camera_info` and publish points in metres.",
        read_only=True,
    )
    depth_window: int = parameter(
        7,
        "Edge of the square around a pixel from which its depth is read [px]; even counts as the next odd.",
        1,
        101,
    )
    depth_sync_tolerance: float = parameter(
        0.02,
        "Largest difference between the stamps of image and depth [s].",
        0.0,
        10.0,
    )
    depth_patience: float = parameter(
        0.2,
        "How long an answer waits for depth that is still on its way [s].",
        0.0,
        5.0,
    )
    min_depth: float = parameter(
        0.05,
        "Nearer depths are invalid [m].",
        0.0,
        1000.0,
    )
    max_depth: float = parameter(
        20.0,
        "Farther depths are invalid [m].",
        0.0,
        1000.0,
    )
    surface_normals: bool = parameter(
        False,
        "Give each point the normal of the surface there: `~/points` then has poses whose z axis is the normal.",
    )
    target_frame: str = parameter(
        "",
        "Frame of the points in metres, by TF at the image's own stamp; empty means the camera's optical frame.",
    )
    optical_frame: str = parameter(
        "",
        "The optical frame (x right, y down, z forward) that pictures, depth and calibration are really in, where "
        "their headers name a body frame (x forward), as simulators do; several cameras: `NAME=FRAME NAME=FRAME`. "
        "Empty means the frame of the picture's header.",
    )
    depth_is_aligned: bool = parameter(
        False,
        "Depth is aligned to the picture whatever its frame_id says: for drivers that name the frame of aligned depth "
        "wrongly.",
    )
    depth_frame: str = parameter(
        "",
        "The frame that depth is really in, where its header names another: of a depth camera whose driver names its "
        "body, the optical frame; of a cloud, the frame of its coordinates (Gazebo's are x forward whatever its "
        "header says). Several cameras: `NAME=FRAME NAME=FRAME`. Empty means the frame of the header.",
    )
    depth_is_rectified: bool = parameter(
        False,
        "The depth image is rectified, and P of its `depth/camera_info` is used, not K and D.",
    )
    trust_camera_info: bool = parameter(
        False,
        "camera_info is the picture's even where its frame_id is another, where its principal point lies far from the "
        "image's centre, or where P is that of a stereo pair's second camera.",
    )
    transform_patience: float = parameter(
        0.2,
        "How long an answer waits for a transform that is still on its way [s].",
        0.0,
        10.0,
    )
    image_is_rectified: bool = parameter(
        False,
        "The image topic is rectified (`image_rect`): P of camera_info is used, not K and D.",
    )
    camera_matrix: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0, 0.0),
        "fx, fy, cx, cy of the image [px], used instead of camera_info where a driver's is wrong; "
        "zeros mean camera_info.",
    )

    region_rate: float = parameter(
        0.0,
        "How often, at most, the objects at a camera's current points are looked for [Hz], wall time; all that shows "
        "them comes so often. 0 means as often as there are points, which with `tracking` is the camera's rate.",
        0.0,
        1000.0,
    )
    collision_timeout: float = parameter(
        5.0,
        "An object that was not seen for so long is removed from the planning scene (`~/collision_objects`) [s]. Where "
        "nothing is tracked, more than the time between two answers.",
        0.0,
        3600.0,
    )
    gripper_opening: float = parameter(
        0.085,
        "Largest distance between the pads of the gripper's fingers [m].",
        0.001,
        1.0,
    )
    finger_thickness: float = parameter(
        0.012,
        "Thickness of one finger of the gripper, along the axis on which it closes [m].",
        0.0005,
        0.2,
    )
    finger_width: float = parameter(
        0.022,
        "Width of one finger of the gripper, across the axis on which it closes [m].",
        0.0005,
        0.2,
    )
    finger_depth: float = parameter(
        0.045,
        "From the tips of the gripper's fingers back to the hand: so deep may a thing be between them [m].",
        0.001,
        0.5,
    )

    hand_width: float = parameter(
        0.13,
        "Width of the gripper's hand behind the fingers, along the axis on which it closes [m].",
        0.001,
        1.0,
    )
    hand_thickness: float = parameter(
        0.06,
        "Thickness of the gripper's hand behind the fingers, across the axis on which it closes [m].",
        0.001,
        1.0,
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Accepted values by name, the others' defaults: lists become tuples, and whole numbers floats where it is so
        declared."""
        return cls(**{name: SPECS[name].converted(value) for name, value in values.items()})

    @property
    def continuous(self) -> tuple[Query, ...]:
        """The continuous queries."""
        return continuous_queries(self.queries)


PARAMETERS = parameters_of(Settings)
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
        if name in ("optical_frame", "depth_frame") and (error := optical_frame_error(value, known, name)):
            return error
        if name == "queries" and known and (error := unknown_camera_error(list(value), known)):
            return error
    return ""
