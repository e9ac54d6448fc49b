"""A picture of 8000x6000 (144 MB), over shared memory that holds it."""

import shutil

import pytest

SEGMENT = 200 * 1024 * 1024


def test_huge_picture_is_answered_and_so_is_the_next(request, make, tmp_path, monkeypatch):
    if shutil.disk_usage("/dev/shm").free < 3 * SEGMENT:
        pytest.skip("/dev/shm is too small for this picture")
    conftest = __import__("sys").modules[make.__module__]
    profile = (conftest.ROOT / "config" / "fastdds_shm.xml").read_text()
    large = tmp_path / "large.xml"
    large.write_text(profile.replace("<segment_size>16777216<", f"<segment_size>{SEGMENT}<"))
    assert str(SEGMENT) in large.read_text()
    monkeypatch.setitem(conftest.ENVIRONMENT, "FASTRTPS_DEFAULT_PROFILES_FILE", str(large))
    robot = conftest.Robot(conftest._domain(request.module))
    try:
        robot.start("-p", "max_frame_age:=60.0")
        for _ in range(10):  # best effort may lose one of its many fragments; a camera sends the next
            robot.send_frame(make.picture(8000, 6000), settle=2.0)
            result = robot.ask("size at 0.5,0.5")
            if result["status"] != "NO_IMAGE":
                break
        assert result["text"] == "8000x6000 [200, 30, 10]"
        assert (result["points"][0]["x"], result["points"][0]["y"]) == (4000, 3000)
        robot.send_frame()
        assert robot.ask("size")["text"].startswith("64x48")
        robot.stop()
    finally:
        robot.close()
