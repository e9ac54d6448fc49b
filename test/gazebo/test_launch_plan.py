# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Worlds as users have them: what the launch file starts for them, what it refuses, and what it says."""

from pathlib import Path

import numpy as np
import pytest

from molmo_ros.gazebo.__main__ import generated_files
from molmo_ros.gazebo.bridge_file import bridged_topics
from molmo_ros.gazebo.launch_plan import plan_launch, transform_arguments, world_path
from molmo_ros.gazebo.question_list import QuestionList
from molmo_ros.gazebo.release import FORTRESS, HARMONIC, fortress_world, release_of
from molmo_ros.gazebo.sdf_pose import WorldFileError
from molmo_ros.gazebo.world_file import World

SHIPPED = Path(__file__).parents[2] / "gazebo"
SENSORS = '<plugin filename="gz-sim-sensors-system" name="gz::sim::systems::Sensors"/>'
SLOW_CLOCK = "<physics type='ignored'><max_step_size>0.004</max_step_size></physics>"
POSES = (
    "<plugin filename='libgz-sim-pose-publisher-system.so' name='gz::sim::systems::PosePublisher'>"
    "<publish_nested_model_pose>1</publish_nested_model_pose>"
    "<use_pose_vector_msg>true</use_pose_vector_msg></plugin>"
)


def sensor(topic="camera", frame="<optical_frame_id>eye_optical</optical_frame_id>", fov=1.0, pose=""):
    return (
        f"<sensor name='rgbd' type='rgbd_camera'>{pose}<topic>{topic}</topic><camera>"
        f"<horizontal_fov>{fov}</horizontal_fov><image><width>800</width><height>600</height></image>{frame}"
        "</camera></sensor>"
    )


def model(inside, name="rig", static=True, pose="<pose>1 2 3 0 0 1.5707963267948966</pose>", more=""):
    return (
        f"<model name='{name}'><static>{str(static).lower()}</static>{pose}"
        f"<link name='mount'><pose>0 0 0.5 0 0 0</pose>{inside}</link>{more}</model>"
    )


@pytest.fixture
def plan(tmp_path):
    def made(*models, systems=SENSORS + SLOW_CLOCK, release=HARMONIC, **how):
        path = tmp_path / "my world.sdf"
        path.write_text(f"<sdf version='1.9'><world name='lab'>{systems}{''.join(models)}</world></sdf>")
        return plan_launch(path, release, **how)

    return made


def test_a_camera_that_stands(plan):
    """Its transform goes up to the world: x forward turned by 90 degrees about z looks along the world's y."""
    made = plan(model(sensor()), headless=True)
    assert made.warnings == ()
    ((parent, child, lab_from_eye),) = made.transforms
    assert (parent, child) == ("lab", "eye_optical")
    np.testing.assert_allclose(
        lab_from_eye.apply([[0, 0, 0], [0, 0, 1]]), [[1, 2, 3.5], [1, 3, 3.5]], atol=1e-9
    )
    np.testing.assert_allclose(
        lab_from_eye.rotate([[1, 0, 0], [0, 1, 0]]), [[1, 0, 0], [0, 0, -1]], atol=1e-9
    )
    assert made.molmo["optical_frame"] == "eye_optical" and made.molmo["target_frame"] == "lab"
    assert "cameras" not in made.molmo
    start, _, path = made.gazebo_arguments.partition("'")
    assert start == "-r -s --headless-rendering " and path.endswith("my world.sdf'")


def test_a_camera_that_tells_where_it_is(plan):
    made = plan(model(sensor(), more=POSES, static=False))
    assert "/model/rig/pose@tf2_msgs/msg/TFMessage[gz.msgs.Pose_V" in made.bridge
    assert made.bridge_remappings == (("/model/rig/pose", "/tf"),)
    ((parent, child, rig_from_eye),) = made.transforms
    assert (parent, child) == ("rig", "eye_optical") and made.warnings == ()
    np.testing.assert_allclose(rig_from_eye.apply([[0, 0, 1]]), [[1, 0, 0.5]], atol=1e-9)


def test_a_camera_on_a_robot(plan):
    made = plan(model(sensor(), static=False))
    assert [transform[:2] for transform in made.transforms] == [("mount", "eye_optical")]
    (said,) = made.warnings
    assert "TF up to its link 'mount' is to come from the robot" in said


def test_a_camera_in_a_nested_model(plan):
    inner = model(sensor(), name="inner", static=False, pose="<pose>0 0 1 0 0 0</pose>", more=POSES)
    made = plan(f"<model name='outer'><static>1</static><pose>5 0 0 0 0 0</pose>{inner}</model>")
    assert ("/model/outer/model/inner/pose", "/tf") in made.bridge_remappings
    assert made.transforms[0][0] == "outer/inner"


def test_a_frame_that_is_not_optical_is_replaced(plan):
    for frame in ("", "<optical_frame_id>eye_link</optical_frame_id>"):
        made = plan(model(sensor(frame=frame)))
        assert made.molmo["optical_frame"] == made.transforms[0][1] == "camera_optical_frame"
        (said,) = made.warnings
        assert "<optical_frame_id>camera_optical_frame</optical_frame_id>" in said


def test_several_cameras(plan):
    two = [model(sensor("wrist"), "a"), model(sensor("head", frame=""), "b")]
    made = plan(*two)
    assert made.molmo["cameras"] == "wrist,head"
    assert made.molmo["optical_frame"] == "wrist=eye_optical head=head_optical_frame"
    assert made.molmo["image"] == "/{camera}/image"
    chosen = plan(*two, wanted=["/head"])
    assert chosen.molmo["image"] == "/head/image" and "cameras" not in chosen.molmo
    assert len(chosen.transforms) == 1


def test_several_lenses_leave_the_calibration_to_camera_info(plan):
    made = plan(model(sensor("wrist"), "a"), model(sensor("head", frame="", fov=1.2), "b"))
    assert "camera_matrix" not in made.molmo
    assert any("several lenses" in said for said in made.warnings)


@pytest.mark.parametrize(
    "systems, said",
    [
        (SLOW_CLOCK, "'lab' loads no sensors system, so no camera of it publishes"),
        (SENSORS, "/clock comes 1000 times a second"),
        (SENSORS + SLOW_CLOCK.replace("4<", "2<"), "/clock comes 500 times a second"),
    ],
)
def test_what_costs_points_is_said(plan, systems, said):
    (warning,) = plan(model(sensor()), systems=systems).warnings
    assert said in warning


@pytest.mark.parametrize(
    "models, said",
    [
        ([], "has no <sensor type='rgbd_camera'>: docs/gazebo.md has the lines"),
        (["<include><uri>model://robot</uri></include>"], "what it includes is not read: model://robot"),
        ([model(sensor(topic=""))], "sensor 'rgbd' of 'rig' has no <topic>: give it <topic>camera</topic>"),
        ([model(sensor(), "a"), model(sensor(), "b")], "two cameras of .* have one <topic>"),
        (
            [model(sensor("wrist"), "a"), model(sensor("head"), "b")],
            "cameras of .* have one <optical_frame_id>, eye_optical: give each its own, or choose one by cameras:=",
        ),
        (
            [model(sensor().replace("rgbd_camera", "depth_camera"))],
            "has no <sensor type='rgbd_camera'>, which gives colour and depth, but depth_camera: docs/gazebo.md",
        ),
        (
            [model(sensor("a/b", frame=""), "a"), model(sensor("c"), "b")],
            "the topic 'a/b' is refused beside other cameras",
        ),
        ([model(sensor(fov="wide"))], "<horizontal_fov> is 'wide': it takes a number"),
        (
            [model(sensor(pose="<pose>0 0 0</pose>"))],
            "the pose of sensor 'rgbd' is '0 0 0': it takes six numbers",
        ),
        (
            [model(sensor(pose="<pose relative_to='arm'>0 0 0 0 0 0</pose>"))],
            "the pose of sensor 'rgbd' is written against 'arm'",
        ),
        (
            [model(sensor(), pose="<pose rotation_format='quat_xyzw'>0 0 0 0 0 0 1</pose>")],
            "the pose of model 'rig' has rotation_format 'quat_xyzw'",
        ),
    ],
)
def test_what_cannot_be_launched_is_refused(plan, models, said):
    with pytest.raises(WorldFileError, match=said):
        plan(*models)


def test_files_that_are_no_worlds(tmp_path):
    for text, said in (("<sdf", "is no XML"), ("<sdf version='1.9'/>", "holds no <world> in an <sdf>")):
        path = tmp_path / "world.sdf"
        path.write_text(text)
        with pytest.raises(WorldFileError, match=said):
            World.read(path)


def test_angles_in_degrees(plan):
    radians = plan(model(sensor())).transforms
    assert plan(model(sensor(), pose="<pose degrees='true'>1 2 3 0 0 90</pose>")).transforms == radians


def test_worlds_by_name_and_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert world_path("shelf", SHIPPED, FORTRESS) == SHIPPED / "fortress" / "shelf.sdf"
    mine = tmp_path / "mine.sdf"
    mine.write_text("")
    assert world_path("mine.sdf", SHIPPED, HARMONIC) == mine
    with pytest.raises(
        WorldFileError, match=r"world:=mien is refused: it is no file, and none of \['shelf', 'tabletop'\]"
    ):
        world_path("mien", SHIPPED, HARMONIC)


def test_the_release_follows_the_distribution():
    assert (release_of("humble"), release_of("jazzy"), release_of("")) == (FORTRESS, HARMONIC, HARMONIC)


def test_fortress_gets_the_frame_of_each_sensor_beside_its_topic():
    one, two = sensor(), sensor("b", frame="")
    changed = fortress_world(one + two + one)
    assert changed.count("<ignition_frame_id>eye_optical</ignition_frame_id>") == 2
    assert changed.index("<ignition_frame_id>") < changed.index("<camera>")
    assert generated_files(SHIPPED)[SHIPPED / "fortress" / "shelf.sdf"].count("<ignition_frame_id>") == 2


def test_a_static_transform_has_a_number_for_each_name():
    ((parent, child, transform),) = plan_launch(SHIPPED / "harmonic/tabletop.sdf", HARMONIC).transforms
    words = transform_arguments(parent, child, transform)
    assert words[-4:] == ["--frame-id", "camera", "--child-frame-id", "camera_optical_frame"]
    given = dict(zip(words[:-4:2], map(float, words[1:-4:2]), strict=True))
    assert tuple(given[f"--q{axis}"] for axis in "xyzw") == pytest.approx(transform.rotation)
    assert tuple(given[f"--{axis}"] for axis in "xyz") == pytest.approx(transform.translation)


@pytest.fixture
def questions(tmp_path):
    def read(text, *models):
        world = "".join(models) + model(sensor())
        (tmp_path / "lab.sdf").write_text(f"<sdf version='1.9'><world name='lab'>{world}</world></sdf>")
        (tmp_path / "list.yaml").write_text(text)
        return QuestionList.read(tmp_path / "list.yaml", SHIPPED, HARMONIC)

    return read


MESH = "<visual name='v'><geometry><mesh><uri>a.dae</uri></mesh></geometry></visual>"
BOX = "<collision name='c'><geometry><box><size>0.1 0.2 0.3</size></box></geometry></collision>"
START = "world: lab.sdf\nobjects: {can: coke can}\n"


def test_an_own_list_of_questions(questions):
    made = questions(
        START + "absent: [mug]\nboxes: {can: [0.1, 0.2, 0.3]}\narguments: {model: molmo2-er}",
        model(MESH, "can", static=False, more=POSES),
    )
    assert made.queries == {"can": "coke can"} and made.absent == ["mug"]
    assert made.arguments == {"model": "molmo2-er"}
    assert made.solids["can"][0].size == (0.1, 0.2, 0.3)
    view = made.view({"can": World.read(made.path).objects[0].world_from_model})
    assert view.off_surface("can", (1.1, 2.0, 3.0)) == pytest.approx(0.0, abs=1e-9)  # turned: y of 0.2 is x


def test_a_meshs_collision_is_its_shape(questions):
    made = questions(START, model(MESH + BOX, "can", static=False, more=POSES))
    assert made.solids["can"][0].size == (0.1, 0.2, 0.3)


def included(inside, name="<name>can</name>"):
    """An include as Gazebo's own pages have it, with what is beside its address."""
    uri = "<uri>https://fuel.example/1.0/somebody/models/Coke Can</uri>"
    return f"<include>{uri}{name}<pose>1 2 3 0 0 0</pose>{inside}</include>"


def test_an_included_model_is_asked_about_where_it_was_put(questions):
    made = questions(START + "boxes: {can: [0.1, 0.2, 0.3]}", included(POSES))
    assert made.view().off_surface("can", (1.05, 2.0, 3.0)) == pytest.approx(0.0, abs=1e-9)
    assert "/model/can/pose" in [topic.gz_topic for topic in bridged_topics(made.world)]
    unnamed = questions(
        "world: lab.sdf\nobjects: {Coke Can: can}\nboxes: {Coke Can: [1, 1, 1]}", included(POSES, name="")
    )
    assert list(unnamed.queries) == ["Coke Can"]
    assert questions(START + "boxes: {can: [1, 1, 1]}", included("<static>true</static>")).queries
    with pytest.raises(WorldFileError, match="can has no box, sphere or cylinder: boxes takes its size"):
        questions(START, included(POSES))
    with pytest.raises(WorldFileError, match="can moves and has no PosePublisher"):
        questions(START + "boxes: {can: [1, 1, 1]}", included(""))


@pytest.mark.parametrize(
    "text, inside, more, said",
    [
        (START, MESH, POSES, "can has no box, sphere or cylinder: boxes takes its size"),
        (START, BOX, "", "can moves and has no PosePublisher"),
        ("world: lab.sdf\nobjects: {tin: tin}", BOX, POSES, r"has no 'tin', but \['can'\]"),
        (START + "camera: wrist", BOX, POSES, r"has no camera 'wrist', but \['camera'\]"),
        (START + "asbent: [mug]", BOX, POSES, "takes world and objects, and of"),
        ("world: nowhere.sdf\nobjects: {can: can}", BOX, POSES, "world:=nowhere.sdf is refused"),
        ("[]", BOX, POSES, "takes world and objects"),
    ],
)
def test_lists_that_nothing_can_be_asked_by(questions, text, inside, more, said):
    with pytest.raises(WorldFileError, match=said):
        questions(text, model(inside, "can", static=False, more=more))
