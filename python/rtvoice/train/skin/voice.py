"""What a trained master needs besides its weights, and how it is read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from rtvoice.train import runner
from rtvoice.train.checkpoint import load, save
from rtvoice.train.data.corpus import DataError
from rtvoice.train.models.master import Master, MasterShape
from rtvoice.train.skin.crops import Register, Scale

FILE = "voice.pt"


@dataclass(frozen=True)
class Learned:
    """One of the voices that a master was made for.

    Attributes
    ----------
    number : int
        Its place among the speakers.
    register : Register
        Where it speaks.
    """

    number: int
    register: Register


@dataclass(frozen=True)
class Voice:
    """A master's surroundings.

    Attributes
    ----------
    shape : MasterShape
        Its sizes.
    speakers : tuple of str
        Voices in the order of their numbers.
    learned : dict of str to Learned
        The voices it was made for, by the names of their collections; the first is the recipe's own target.
    scale : Scale
        Of the content features.
    extractor : str
        Which content features.
    """

    shape: MasterShape
    speakers: tuple[str, ...]
    learned: dict[str, Learned]
    scale: Scale
    extractor: str = "whisper-base"

    def write(self, folder: Path) -> None:
        """Write into a stage's folder."""
        plain = {
            "shape": asdict(self.shape),
            "speakers": list(self.speakers),
            "learned": {
                name: [one.number, one.register.mean, one.register.deviation] for name, one in self.learned.items()
            },
            "deviation": self.scale.deviation,
            "extractor": self.extractor,
        }
        save(folder / FILE, plain)

    def of(self, name: str = "") -> Learned:
        """Return one of the voices it was made for; an empty name is the recipe's own target.

        Raises
        ------
        DataError
            It was not made for a voice of that name.
        """
        if not name:
            return next(iter(self.learned.values()))
        if name not in self.learned:
            raise DataError(f"the master has not learned the voice {name!r}; it has {', '.join(self.learned)}")
        return self.learned[name]

    @classmethod
    def read(cls, folder: Path) -> Voice:
        """Read from a stage's folder."""
        plain = load(folder / FILE)
        return cls(
            MasterShape(**plain["shape"]),
            tuple(plain["speakers"]),
            {name: Learned(int(at), Register(*place)) for name, (at, *place) in plain["learned"].items()},
            Scale(plain["deviation"]),
            plain["extractor"],
        )


def load_master(folder: Path) -> tuple[Master, Voice]:
    """Return a trained master, in eval mode, and its voice."""
    voice = Voice.read(folder)
    master = Master(voice.shape)
    master.load_state_dict(runner.weights(folder, "master"))
    return master.eval().requires_grad_(False), voice
