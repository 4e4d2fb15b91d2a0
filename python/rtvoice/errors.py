"""The exceptions of the package."""

from __future__ import annotations


class ModelError(Exception):
    """A model file is damaged, beyond the limits, or asks for something that rtvoice cannot do.

    The message is one line that names the place, the value and what to do.
    """
