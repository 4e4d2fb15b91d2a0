"""What a trained master needs besides its weights, and how it is read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from rtvoice.train import runner
from rtvoice.train.checkpoint import load, save
from rtvoice.train.models.master import Master, MasterShape
from rtvoice.train.skin.crops import Register, Scale

FILE = "voice.pt"


@dataclass(frozen=True)
class Voice:
    """A master's surroundings.

    Attributes
    ----------
    shape : MasterShape
        Its sizes.
    speakers : tuple of str
        Voices in the order of their numbers.
    target : int
        Number of the voice it was made for.
    register : Register
        Where that voice speaks.
    scale : Scale
        Of the content features.
    extractor : str
        Which content features.
    """

    shape: MasterShape
    speakers: tuple[str, ...]
    target: int
    register: Register
    scale: Scale
    extractor: str = "whisper-base"

    def write(self, folder: Path) -> None:
        """Write into a stage's folder."""
        plain = {
            "shape": asdict(self.shape),
            "speakers": list(self.speakers),
            "target": self.target,
            "register": [self.register.mean, self.register.deviation],
            "deviation": self.scale.deviation,
            "extractor": self.extractor,
        }
        save(folder / FILE, plain)

    @classmethod
    def read(cls, folder: Path) -> Voice:
        """Read from a stage's folder."""
        plain = load(folder / FILE)
        return cls(
            MasterShape(**plain["shape"]),
            tuple(plain["speakers"]),
            int(plain["target"]),
            Register(*plain["register"]),
            Scale(plain["deviation"]),
            plain["extractor"],
        )


def load_master(folder: Path) -> tuple[Master, Voice]:
    """Return a trained master, in eval mode, and its voice."""
    voice = Voice.read(folder)
    master = Master(voice.shape)
    master.load_state_dict(runner.weights(folder, "master"))
    return master.eval().requires_grad_(False), voice
