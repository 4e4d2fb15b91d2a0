"""What a file that is no model is, told by its first bytes, and what to do with it."""

from __future__ import annotations

# How files of other kinds begin.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the model itself; run git lfs pull"),
    (b"PK\x03\x04", "is a zip archive, as torch.save writes; unpack it, or export the module with torch.onnx.export"),
    (b"\x1f\x8b", "is packed with gzip; unpack it first"),
    (b"\x89HDF", "is an HDF5 file, as Keras saves; convert it with tf2onnx"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml")


def what_else(data: bytes) -> str:
    """Tell what a file is that is neither an ONNX model nor JSON; empty where it may be one."""
    if not data:
        return "is empty; fetch or export it again"
    for beginning, text in _BEGINNINGS:
        if data.startswith(beginning):
            return text
    if data[0] == 0x80 and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "is a Python pickle, as torch.save wrote; export the module with torch.onnx.export"
    if data[4:8] == b"TFL3":
        return "is a TensorFlow Lite model; convert it with tf2onnx --tflite"
    if data[:256].lstrip()[:9].lower().startswith(_PAGES):
        return "is a web page, not a model; fetch the file itself"
    return ""


def as_text(data: bytes) -> str:
    """Return how a file begins that is a text, no model in binary; empty where it is none."""
    # A model in binary holds bytes that no text has within its first fields: its version is one.
    if not all(byte >= 32 or byte in b"\t\n\r" for byte in data[:4096]):
        return ""
    return " ".join(data[:256].lstrip()[:40].decode("utf-8", "replace").split())
