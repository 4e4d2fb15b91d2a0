"""Speech from text: engines with one interface, a cache of renderings, collections made of them."""

from rtvoice.train.data.synth.cache import RenderCache
from rtvoice.train.data.synth.engine import Synthesizer, Voice

__all__ = ["RenderCache", "Synthesizer", "Voice"]
