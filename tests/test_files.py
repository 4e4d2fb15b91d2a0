"""Files are written whole: links are followed, devices and pipes are written to, and nothing is left behind."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtvoice
from rtvoice import audio, files


class Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, pipe: Path) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.data = b""
        self.start()

    def run(self) -> None:
        self.data = self.pipe.read_bytes()


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.bin").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "real.bin")
    files.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real.bin").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["real.bin"]


def test_a_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real.bin")
    files.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(model: rtvoice.Model, model_path: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.rtv"
    os.mkfifo(pipe)
    reader = Reader(pipe)
    model.save(pipe)
    reader.join(10)
    assert reader.data == model_path.read_bytes()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe.rtv"]


def test_audio_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    reader = Reader(pipe)
    with audio.Writer(pipe, 48000, 1, "PCM_16") as writer:
        writer.write(np.zeros(1000, np.float32))
    reader.join(10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    (tmp_path / "copy.wav").write_bytes(reader.data)
    assert soundfile.info(tmp_path / "copy.wav").frames == 1000


def test_a_full_device_is_an_error_and_stays_a_device(model: rtvoice.Model, tmp_path: Path) -> None:
    full = tmp_path / "full.rtv"
    try:
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        full.open("wb").close()
    except OSError:
        pytest.skip("no device can be made here")
    with pytest.raises(OSError, match=r"full\.rtv cannot be written: the disk is full"):
        model.save(full)
    assert stat.S_ISCHR(full.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["full.rtv"]


def test_a_failure_leaves_the_old_file_and_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    target.chmod(0o640)
    files.write_whole(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    whole = files.WholeFile(target)
    whole.create()
    whole.discard()
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/x.rtv", "folder .*no does not exist"), ("x" * 300, "too long"), (".", "is a folder")],
)
def test_what_cannot_be_written_is_told_in_words(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=message) as caught:
        files.write_whole(tmp_path / name, b"")
    assert "Errno" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_builder_saves_through_a_link(tmp_path: Path) -> None:
    builder = rtvoice.GraphBuilder(name="x", sample_rate=48000, hop=1)
    builder.output(builder.input())
    (tmp_path / "link.rtv").symlink_to("real.rtv")
    builder.save(tmp_path / "link.rtv")
    assert (tmp_path / "link.rtv").is_symlink()
    assert rtvoice.Model.load(tmp_path / "real.rtv").name == "x"


def test_the_name_mix_is_the_engines(tmp_path: Path) -> None:
    builder = rtvoice.GraphBuilder(name="x", sample_rate=48000, hop=1)
    with pytest.raises(ValueError, match="'mix'.*another name"):
        builder.parameter("mix")
