# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is read of bags of every kind, against what was written: by rosbags, by MCAP's own writer, by sqlite3."""

import gzip
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest
from backports import zstd
from mcap.writer import CompressionType, IndexType, Writer
from recordings import TYPES, Recording, kind

from molmo_ros.bag.recorded_bag import BagError, RecordedBag

SECOND = 10**9
STRING = "std_msgs/msg/String"


def text(words):
    return bytes(TYPES.serialize_cdr(kind(STRING)(words), STRING))


def spoken(path, topic="/said"):
    """(log time [s], words) of a topic, what is said about the bag, and what is lost."""
    with RecordedBag(path) as bag:
        topics = [one for one in bag.connections if one.topic == topic]
        words = [
            (message.time // SECOND, TYPES.deserialize_cdr(message.data, STRING).data)
            for message in bag.messages(topics)
        ]
        assert sum(one.msgcount for one in topics) >= len(words)
        assert {one.msgtype for one in topics} == {STRING}
        return words, bag.notes, bag.losses


def said(numbers, size=10):
    return [(number, f"{number}" * size) for number in numbers]


def recording(count=40, size=10):
    bag = Recording()
    for number, words in said(range(count), size):
        bag.messages.append(("/said", STRING, number * SECOND, text(words)))
    return bag


def written(path, count=40, *, size=10, order=None, foreign=True, **options):
    """An MCAP file of small chunks by MCAP's own writer, with channels of json and protobuf."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=600, **options)
        writer.start(profile="ros2")
        schema = writer.register_schema(STRING, "ros2msg", b"string data")
        channel = writer.register_channel("/said", "cdr", schema)
        others = []
        if foreign:
            form = writer.register_schema("pose", "jsonschema", b"{}")
            others.append(writer.register_channel("/pose", "json", form))
            form = writer.register_schema("foxglove.Log", "protobuf", b"\x0a\x00")
            others.append(writer.register_channel("/log", "protobuf", form))
        for number in order or range(count):
            for one in others:
                writer.add_message(one, number * SECOND, b"{}", number * SECOND)
            words = text(f"{number}" * size)
            writer.add_message(channel, number * SECOND, words, number * SECOND)
        writer.finish()
    return path


WRITERS = {
    "zstd": {"compression": CompressionType.ZSTD},
    "lz4": {"compression": CompressionType.LZ4},
    "uncompressed": {"compression": CompressionType.NONE},
    "without chunks": {"use_chunking": False},
    "without indexes": {"index_types": IndexType.NONE},
    "without message indexes": {"index_types": IndexType.CHUNK},
    "without statistics": {"use_statistics": False},
    "without a summary": {
        "index_types": IndexType.NONE,
        "use_statistics": False,
        "repeat_channels": False,
        "repeat_schemas": False,
        "use_summary_offsets": False,
    },
}


@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS)
def test_mcap_of_every_writer_with_foreign_channels(options, tmp_path):
    words, notes, losses = spoken(written(tmp_path / "in.mcap", **options))
    assert words == said(range(40)) and losses == []
    (note,) = notes
    assert "/pose (json)" in note and "/log (protobuf)" in note and "skipped" in note


@pytest.mark.parametrize("options", [{}, {"use_chunking": False}], ids=["chunks", "without chunks"])
def test_messages_that_were_not_written_in_order(options, tmp_path):
    order = [3, 1, 0, 2, 39, *range(38, 3, -1)]
    assert spoken(written(tmp_path / "in.mcap", order=order, **options))[0] == said(range(40))


def test_a_part_of_a_bag_and_some_of_its_topics(tmp_path):
    with RecordedBag(written(tmp_path / "in.mcap")) as bag:
        assert (bag.start, bag.end) == (0, 39 * SECOND)
        part = bag.messages(bag.connections, 10 * SECOND, 13 * SECOND)
        assert [message.time for message in part] == [10 * SECOND, 11 * SECOND, 12 * SECOND]
        assert list(bag.messages([])) == []


@pytest.mark.parametrize("compression", list(CompressionType), ids=lambda one: one.name)
def test_a_cut_mcap_is_read_to_its_end(compression, tmp_path):
    """As a recorder leaves it that is killed: without an index, in the middle of a chunk."""
    whole = written(tmp_path / "in.mcap", compression=compression).read_bytes()
    cut = tmp_path / "cut.mcap"
    before = -1
    for share in (0.25, 0.5, 0.7):
        cut.write_bytes(whole[: int(len(whole) * share)])
        words, _, losses = spoken(cut)
        assert words == said(range(len(words))) and before < len(words) < 40
        before = len(words)
        assert losses or before == 0
    assert before >= 10


def test_an_mcap_that_was_not_closed_but_lacks_nothing(tmp_path):
    path = written(tmp_path / "in.mcap")
    whole = path.read_bytes()
    index = struct.unpack("<Q", whole[-28:-20])[0]
    path.write_bytes(whole[: index - 13])  # the record before the summary says that the data ends
    words, notes, losses = spoken(path)
    assert words == said(range(40)) and losses == []
    assert any("not closed" in note for note in notes)


def chunks_of(whole):
    """Offset and length of each chunk record's content, by the specification."""
    at, found = 8, []
    while at < len(whole) - 8:
        op, length = struct.unpack_from("<BQ", whole, at)
        found += [(at + 9, length)] if op == 6 else []
        at += 9 + length
    return found


@pytest.mark.parametrize("compression", list(CompressionType), ids=lambda one: one.name)
def test_a_damaged_chunk_is_left_out_and_the_rest_is_read(compression, tmp_path):
    path = written(tmp_path / "in.mcap", compression=compression)
    whole = bytearray(path.read_bytes())
    offset, length = chunks_of(whole)[3]
    first, last = struct.unpack_from("<QQ", whole, offset)
    whole[offset + length - 20] ^= 0xFF
    path.write_bytes(whole)
    words, _, losses = spoken(path)
    lost = range(first // SECOND, last // SECOND + 1)
    assert [number for number, _ in words if number not in lost] == [n for n in range(40) if n not in lost]
    assert len(words) < 40
    (loss,) = losses
    assert "1 of" in loss and "chunks are damaged" in loss


def test_a_broken_length_is_bridged_by_the_index(tmp_path):
    path = written(tmp_path / "in.mcap")
    whole = bytearray(path.read_bytes())
    offset, _ = chunks_of(whole)[3]
    struct.pack_into("<Q", whole, offset - 8, 1 << 60)
    path.write_bytes(whole)
    words, _, losses = spoken(path)
    assert words == said(range(40))
    assert len(losses) == 1 and f"byte {offset - 9} of {len(whole)}" in losses[0]


def test_a_chunk_that_claims_to_be_huge_is_not_unpacked(tmp_path):
    path = written(tmp_path / "in.mcap")
    whole = bytearray(path.read_bytes())
    offset, _ = chunks_of(whole)[1]
    struct.pack_into("<Q", whole, offset + 16, 1 << 50)
    path.write_bytes(whole)
    words, _, losses = spoken(path)
    assert 20 < len(words) < 40 and str(1 << 50) in losses[0]


def test_ros_1_in_mcap_and_only_foreign_channels_are_named(tmp_path):
    for name, encoding, schema, expected in (
        ("old", "ros1", "ros1msg", "rosbags-convert"),
        ("web", "json", "jsonschema", "/words (json)"),
    ):
        path = tmp_path / f"{name}.mcap"
        with path.open("wb") as file:
            writer = Writer(file)
            writer.start(profile="ros1" if name == "old" else "")
            form = writer.register_schema("std_msgs/String", schema, b"string data")
            channel = writer.register_channel("/words", encoding, form)
            writer.add_message(channel, 1, b"{}", 1)
            writer.finish()
        with pytest.raises(BagError, match="no ROS 2|ROS 1") as caught, RecordedBag(path):
            pass
        assert expected in str(caught.value)


def database(tmp_path, count=40, size=10):
    folder = recording(count, size).write(tmp_path / "in")
    return folder / "in.db3"


def test_names_that_an_url_would_not_keep(tmp_path):
    path = tmp_path / "run #3?100%.db3"
    shutil.copy(database(tmp_path), path)
    assert spoken(path) == (said(range(40)), [], [])


def test_a_database_whose_recorder_was_killed(tmp_path):
    """SQLite's own write-ahead log: 20 messages in the database, 20 beside it."""
    path = database(tmp_path, 20)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for number, words in said(range(20, 40)):
        row = (number * SECOND, text(words))
        connection.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", row)
    connection.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{end}", f"{killed / 'in.db3'}{end}")
    connection.close()
    before = {one.name: one.read_bytes() for one in killed.iterdir()}
    words, notes, losses = spoken(killed / "in.db3")
    assert words == said(range(40)) and losses == []
    assert any("-wal" in note for note in notes)
    assert {one.name: one.read_bytes() for one in killed.iterdir()} == before, "a bag is never written to"


def test_a_cut_database_is_read_as_far_as_it_is_there(tmp_path):
    path = database(tmp_path, 200, 300)
    whole = path.read_bytes()
    before = 0
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        words, _, losses = spoken(path)
        assert set(words) <= set(said(range(200), 300)) and before < len(words) < 200
        assert any("it was cut" in loss for loss in losses)
        before = len(words)
    assert before > 150


def test_a_damaged_page_costs_its_messages_only(tmp_path):
    path = database(tmp_path, 200, 300)
    whole = bytearray(path.read_bytes())
    page = whole.rindex(text("100" * 300)[:40]) // 4096 * 4096
    whole[page : page + 4096] = 4096 * b"\xff"
    path.write_bytes(whole)
    words, _, losses = spoken(path)
    assert 150 < len(words) < 200 and losses


def test_topics_of_another_serialisation_in_a_database(tmp_path):
    path = database(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO topics VALUES (2, '/pose', 'pose', 'json', '', '')")
    connection.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (2, 5, x'7b7d')")
    connection.commit()
    connection.close()
    words, notes, _ = spoken(path)
    assert words == said(range(40)) and "/pose (json)" in notes[0]


def test_a_database_without_definitions_or_profiles(tmp_path):
    """As ROS 2 Dashing wrote them."""
    path = database(tmp_path)
    connection = sqlite3.connect(path)
    for table in ("schema", "metadata", "message_definitions"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("ALTER TABLE topics DROP COLUMN offered_qos_profiles")
    connection.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    connection.commit()
    connection.close()
    assert spoken(path)[0] == said(range(40))


def split(tmp_path, mcap=False, **options):
    """A bag of three files, as `ros2 bag record -b` numbers them, and its metadata."""
    folder = tmp_path / "run"
    folder.mkdir()
    for part in range(3):
        one = Recording()
        one.messages = recording().messages[part * 14 : part * 14 + 14]
        one.write(tmp_path / f"part{part}", mcap=mcap)
        end = "mcap" if mcap else "db3"
        shutil.move(tmp_path / f"part{part}" / f"part{part}.{end}", folder / f"run_{part}.{end}")
    metadata = (tmp_path / "part0" / "metadata.yaml").read_text()
    assert f"part0.{end}" in metadata
    files = "\n  ".join(f"- run_{part}.{end}" for part in range(3))
    (folder / "metadata.yaml").write_text(metadata.replace(f"- part0.{end}", files))
    return folder


@pytest.mark.parametrize("mcap", [False, True])
def test_a_bag_of_several_files(mcap, tmp_path):
    folder = split(tmp_path, mcap)
    assert spoken(folder) == (said(range(40)), [], [])
    (folder / "metadata.yaml").unlink()
    words, notes, losses = spoken(folder)
    assert words == said(range(40)) and losses == [] and "no metadata.yaml" in notes[0]


def test_metadata_that_is_older_than_its_bag(tmp_path):
    folder = split(tmp_path)
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("- run_2.db3", ""))
    shutil.copy(folder / "run_0.db3", folder / "run_molmo.db3")  # another bag
    words, notes, losses = spoken(folder)
    assert words == said(range(40)) and losses == []
    (note,) = notes
    assert "run_2.db3 is not in its metadata.yaml" in note and "run_molmo" not in note


def test_counts_of_the_metadata_are_not_believed(tmp_path):
    folder = split(tmp_path)
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 14", "message_count: 0"))
    assert spoken(folder)[0] == said(range(40))


@pytest.mark.parametrize("content", ["", "a: [", "\0\xff", "rosbag2_bagfile_information: 3", "&a [*a, *a]"])
def test_metadata_that_cannot_be_read(content, tmp_path):
    folder = split(tmp_path)
    (folder / "metadata.yaml").write_bytes(content.encode("latin-1"))
    words, notes, _ = spoken(folder)
    assert words == said(range(40)) and "metadata.yaml cannot be read" in notes[0]


def test_a_file_of_the_bag_that_is_missing_or_damaged(tmp_path):
    folder = split(tmp_path)
    (folder / "run_1.db3").write_bytes(b"\0" * 5000)
    words, _, losses = spoken(folder)
    assert words == said([*range(14), *range(28, 40)])
    assert "run_1.db3 begins with zeros" in losses[0]
    (folder / "run_1.db3").unlink()
    words, _, losses = spoken(folder)
    assert words == said([*range(14), *range(28, 40)]) and "missing: run_1.db3" in losses[0]


@pytest.mark.parametrize("mcap", [False, True])
def test_files_that_are_packed_whole(mcap, tmp_path):
    folder = split(tmp_path, mcap)
    for path in sorted(folder.glob("run_*")):
        packed = path.with_name(f"{path.name}.zstd")
        packed.write_bytes(zstd.compress(path.read_bytes()))
        if "_2" not in path.name:  # the last one was not yet removed
            path.unlink()
    metadata = folder / "metadata.yaml"
    end = "mcap" if mcap else "db3"
    metadata.write_text(metadata.read_text().replace(f".{end}\n", f".{end}.zstd\n"))
    assert spoken(folder)[0] == said(range(40))
    assert spoken(folder / f"run_0.{end}.zstd")[0] == said(range(14))


def test_messages_that_are_packed_one_by_one(tmp_path):
    path = database(tmp_path)
    connection = sqlite3.connect(path)
    for row, data in connection.execute("SELECT id, data FROM messages").fetchall():
        connection.execute("UPDATE messages SET data = ? WHERE id = ?", (zstd.compress(data), row))
    connection.commit()
    connection.close()
    assert spoken(path)[0] == said(range(40))


def test_what_is_no_bag_is_called_by_its_name(tmp_path):
    cases = {
        "old.bag": (b"#ROSBAG V2.0\n" + bytes(99), "ROS 1 bag; convert it: rosbags-convert --src"),
        "empty.mcap": (b"", "empty (0 bytes)"),
        "packed.mcap": (gzip.compress(b"bag"), "packed (gzip)"),
        "words.mcap": (b"hello" * 99, "it is no bag"),
        "zeros.db3": (bytes(9999), "begins with zeros"),
        "pointer.mcap": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    }
    for name, (content, expected) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BagError, match=f"{name}.*") as caught, RecordedBag(path):
            pass
        assert expected in str(caught.value)
    other = tmp_path / "other.db3"
    sqlite3.connect(other).execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(BagError, match="no table messages and topics"), RecordedBag(other):
        pass


def test_folders_that_are_no_bag(tmp_path):
    inside = tmp_path / "bags"
    recording().write(inside / "one")
    inside.mkdir(exist_ok=True)
    cases = {"bags": "holds some: one", "nothing": "it is empty", "ros1": "ROS 1 bag; convert it"}
    (tmp_path / "nothing").mkdir()
    (tmp_path / "ros1").mkdir()
    (tmp_path / "ros1" / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    for name, expected in cases.items():
        with pytest.raises(BagError, match=name) as caught, RecordedBag(tmp_path / name):
            pass
        assert expected in str(caught.value)
    two = tmp_path / "two"
    two.mkdir()
    for name in ("kitchen.db3", "garden.db3"):
        shutil.copy(inside / "one" / "one.db3", two / name)
    with pytest.raises(BagError, match=r"garden\.db3, kitchen\.db3; name one"), RecordedBag(two):
        pass


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    packed = tmp_path / "in.db3.zstd"
    packed.write_bytes(zstd.compress(database(tmp_path).read_bytes()))
    assert spoken(packed)[0] == said(range(40))
    assert list(Path(tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("times", [(1 << 63, 1 << 63), (0, 0), (35 * SECOND, 36 * SECOND), (9 * SECOND, 3)])
def test_a_chunks_head_is_not_believed_about_its_times(tmp_path, times):
    """Those of its messages stand in its indexes and in the messages themselves."""
    path = written(tmp_path / "bag.mcap", foreign=False)
    content = bytearray(path.read_bytes())
    at = 8  # behind the magic: a byte of kind, and the length
    while content[at] != 6:  # a chunk
        at += 9 + int.from_bytes(content[at + 1 : at + 9], "little")
    struct.pack_into("<QQ", content, at + 9, *times)
    path.write_bytes(content)
    assert spoken(path)[0] == said(range(40))
    with RecordedBag(path) as bag:
        early = [one.time // SECOND for one in bag.messages(bag.connections, 0, 4 * SECOND)]
    assert early == [0, 1, 2, 3]
