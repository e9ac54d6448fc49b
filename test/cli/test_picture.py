import cv2
import numpy as np
import pytest

from molmo_ros.cli.picture import is_picture, read_picture, write_picture
from molmo_ros.molmo.errors import ImageError

RED_LEFT = np.zeros((20, 30, 3), np.uint8)
RED_LEFT[:, :15] = (255, 0, 0)


def test_png_round_trip_is_exact_and_rgb(tmp_path):
    write_picture(tmp_path / "a.png", RED_LEFT)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), RED_LEFT)


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 6), 77, np.uint8))
    assert (read_picture(tmp_path / "grey.png") == 77).all()
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((4, 6, 4), 9, np.uint8))
    assert read_picture(tmp_path / "alpha.png").shape == (4, 6, 3)


def test_exif_rotation_is_not_applied(tmp_path):
    done, jpeg = cv2.imencode(".jpg", RED_LEFT)
    assert done
    # One APP1 segment with one IFD entry: orientation 6, a quarter turn.
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\x00\x00" + tiff
    raw = jpeg.tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(raw[:2] + exif + raw[2:])
    assert cv2.imread(str(path)).shape[:2] == (30, 20), "the file does carry a rotation"
    assert read_picture(path).shape[:2] == (20, 30)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "notes.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="notes.png is not an image"):
        read_picture(path)


def test_missing_files_and_folders_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match="no such image file.*gone.png"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="no such image file"):
        read_picture(tmp_path)
    with pytest.raises(ImageError, match="cannot read .*too long"):
        read_picture(tmp_path / ("a" * 5000))


@pytest.mark.parametrize(
    "name,reason", [("no/such/folder.png", "no folder"), ("picture.xyz", "picture format")]
)
def test_saving_where_it_cannot_be_is_refused(tmp_path, name, reason):
    with pytest.raises(ImageError, match=reason):
        write_picture(tmp_path / name, RED_LEFT)


def test_words_are_no_picture_and_a_picture_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cup").write_text("a text with the name of a thing")
    cv2.imwrite("a.png", RED_LEFT)
    assert is_picture("a.png") and is_picture(str(tmp_path / "a.png"))
    for words in ("cup", "red cube", "", ".", "a" * 5000, "a\0b"):
        assert not is_picture(words)
