"""What teaches the student: the teacher's density at the student's own samples, and the recording's spectra."""

from __future__ import annotations

import torch
from torch import Tensor

from rtvoice.train.vocoder.networks import LEAST, Student, Teacher, emphasised

#: Window and hop of the spectra that are compared, in samples.
RESOLUTIONS = ((128, 32), (512, 128), (1024, 256))
#: Deviations that differ by this factor's logarithm cost as much as a mean that is off by one deviation (ClariNet: 4).
REGULAR = 4.0
#: The densities are compared at no narrower deviation than this: two that are both sure would drown all else.
LEAST_COMPARED = -6.0


def divergence(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean divergence from the teacher's to the student's gaussians, in closed form, held down in width.

    Arguments are means and logarithms of deviations.
    """
    mean, scale = student[0], student[1].clamp(min=LEAST_COMPARED)
    wanted, width = teacher[0], teacher[1].clamp(min=LEAST_COMPARED)
    apart = width - scale + 0.5 * (torch.exp(2 * (scale - width)) - 1 + ((mean - wanted) * torch.exp(-width)).square())
    return (apart.clamp(max=1e3) + REGULAR * (scale - width).square()).mean()


def magnitudes(x: Tensor, window: int, hop: int) -> Tensor:
    """Return the magnitude spectrogram of `(batch, samples)`."""
    shape = torch.hann_window(window, device=x.device)
    return torch.stft(x, window, hop, window=shape, return_complex=True).abs().clamp(min=1e-5)


def spectral_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return how far spectra are apart, as ratios and in logarithms, and power by frequency."""
    total = made.new_zeros(())
    for window, hop in RESOLUTIONS:
        a, b = magnitudes(made[..., 0], window, hop), magnitudes(wanted[..., 0], window, hop)
        total = total + (a - b).norm() / b.norm() + (a.log() - b.log()).abs().mean()
        power = a.square().mean(dim=2).add(1e-8).log() - b.square().mean(dim=2).add(1e-8).log()
        total = total + 0.2 * power.abs().mean()
    return total / len(RESOLUTIONS)


class Distillation:
    """The student's loss, as a function of a batch of recordings.

    Parameters
    ----------
    teacher, student : Teacher, Student
        The teacher stays as it is.
    """

    def __init__(self, teacher: Teacher, student: Student) -> None:
        self.teacher, self.student = teacher.eval().requires_grad_(False), student

    def __call__(self, audio: Tensor) -> Tensor:
        """Return the loss of one batch `(batch, samples, 1)`."""
        wanted = emphasised(audio)
        noise = torch.randn_like(wanted)
        made, mean, scale = self.student.flow(noise, self.student.hearing(audio))
        teacher = self.teacher.gaussian(made, self.teacher.hearing(audio))
        apart = divergence((mean, scale.clamp(min=LEAST)), teacher)
        return 0.05 * apart + spectral_loss(made, wanted)
