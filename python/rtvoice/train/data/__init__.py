"""Speech for training: recordings found, prepared, measured, rendered, aligned, described and disturbed."""

from rtvoice.train.data.augment import Augment, Chances
from rtvoice.train.data.corpus import DataError, Recording, chosen, find_recordings
from rtvoice.train.data.prepare import Limits, prepare
from rtvoice.train.data.report import report
from rtvoice.train.data.store import Clip, Content, Prepared

__all__ = [
    "Augment",
    "Chances",
    "Clip",
    "Content",
    "DataError",
    "Limits",
    "Prepared",
    "Recording",
    "chosen",
    "find_recordings",
    "prepare",
    "report",
]
