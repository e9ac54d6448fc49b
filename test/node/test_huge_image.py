# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A picture of 8000x6000 (144 MB): nine times the shared memory of the profile, so it comes in pieces."""


def test_huge_picture_is_answered_and_so_is_the_next(robot, make):
    # Best effort loses one of the pieces more often than not.
    robot.start("-p", "max_frame_age:=100.0", "-p", "qos_overrides./image.subscription.reliability:=reliable")
    robot.send_frame(make.picture(8000, 6000), settle=0.0)
    for _ in range(30):
        result = robot.ask("size at 0.5,0.5")
        if result["status"] != "NO_IMAGE":  # still on its way
            break
        robot.spin(1.0)
    assert result["text"] == "8000x6000 [200, 30, 10]", (result["status"], result["reason"])
    assert (result["points"][0]["x"], result["points"][0]["y"]) == (4000, 3000)
    robot.send_frame()
    assert robot.ask("size")["text"].startswith("64x48")
    robot.stop()
