"""What a DeepFilterNet folder says about itself: `config.ini`, and the ERB bands that follow from it."""

from __future__ import annotations

import configparser
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.errors import ModelError

F64 = NDArray[np.float64]
_KNOWN = "deepfilternet3"


@dataclass(frozen=True)
class Settings:
    """The transform, the features and the deep filter.

    Attributes
    ----------
    rate
        Sample rate in Hz.
    points, hop
        Size of the transform and samples between frames.
    bands
        ERB bands.
    low
        Bins, from 0, that the deep filter makes.
    order, ahead
        Taps of the deep filter, and how many of them lie in the future.
    features_ahead
        Frames that the networks look ahead.
    least
        Bins in an ERB band at least.
    decay
        Of the running means of the features, per frame.
    """

    rate: int
    points: int
    hop: int
    bands: int
    low: int
    order: int
    ahead: int
    features_ahead: int
    least: int
    decay: float

    @property
    def bins(self) -> int:
        """Bins of a spectrum."""
        return self.points // 2 + 1

    @property
    def latency(self) -> int:
        """Samples from an input to its output, without gathering a hop."""
        return self.points - self.hop + max(self.features_ahead, self.ahead) * self.hop


def read_settings(text: str, place: str) -> Settings:
    """Read `config.ini`; refuse what is no DeepFilterNet 3.

    Parameters
    ----------
    text
        The file.
    place
        Its name, for messages.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ModelError(f"{place}: is no config.ini ({' '.join(str(error).split())[:120]}); fetch it again") from None
    kind = parser.get("train", "model", fallback="")
    if kind != _KNOWN:
        raise ModelError(
            f"{place}: [train] model is {kind!r}; only {_KNOWN!r} is known here, whose deep filter reads the noisy "
            "spectrum. Import the graphs one by one with 'rtvoice import --frames'"
        )

    def number(section: str, key: str, low: int, high: int, default: int | None = None) -> int:
        value: Any = parser.get(section, key, fallback=default)
        if value is None:
            raise ModelError(f"{place}: [{section}] has no {key}; fetch the file again")
        try:
            whole = int(value)
        except ValueError:
            whole = low - 1
        if not low <= whole <= high:
            raise ModelError(f"{place}: [{section}] {key} is {value!r}; it must be a whole number in {low}..{high}")
        return whole

    rate = number("df", "sr", 4000, 384_000)
    points, hop = number("df", "fft_size", 16, 8192), number("df", "hop_size", 8, 4096)
    if points != 2 * hop:
        raise ModelError(
            f"{place}: [df] fft_size is {points} and hop_size {hop}; frames that overlap by half are known, "
            f"so fft_size must be {2 * hop}"
        )
    for key in ("mask_pf",):
        if parser.getboolean("deepfilternet", key, fallback=False):
            raise ModelError(f"{place}: [deepfilternet] {key} is on; the post-filter is not known here, turn it off")
    if number("deepfilternet", "df_n_iter", 1, 100, 1) != 1:
        raise ModelError(f"{place}: [deepfilternet] df_n_iter must be 1")
    settings = Settings(
        rate=rate,
        points=points,
        hop=hop,
        bands=number("df", "nb_erb", 1, 512),
        low=number("df", "nb_df", 1, hop),
        order=number("df", "df_order", 1, 64),
        ahead=number("df", "df_lookahead", 0, 63),
        features_ahead=number("deepfilternet", "conv_lookahead", 0, 63, 0),
        least=number("df", "min_nb_erb_freqs", 1, 64, 1),
        decay=_decay(hop / rate, number("df", "norm_tau", 1, 1000, 1)),
    )
    if settings.ahead >= settings.order:
        raise ModelError(f"{place}: [df] df_lookahead {settings.ahead} must be below df_order {settings.order}")
    return settings


def _decay(step: float, tau: float) -> float:
    """Return the decay per frame as the networks were trained with it: to 3 digits, or as many as tell it from 1."""
    exact, digits = math.exp(-step / tau), 3
    while round(exact, digits) >= 1.0:
        digits += 1
    return round(exact, digits)


def band_widths(settings: Settings) -> NDArray[np.int64]:
    """Return how many bins each ERB band has: equal steps on the ERB scale, but at least `least` bins each.

    A band that was widened takes the bins from the one above it.
    """
    scale, corner = 9.265, 24.7 * 9.265
    top = scale * math.log1p(settings.rate / 2 / corner)
    edges = corner * np.expm1(np.arange(1, settings.bands + 1) * top / settings.bands / scale)
    ends = np.floor(edges / (settings.rate / settings.points) + 0.5).astype(np.int64)
    widths = np.zeros(settings.bands, np.int64)
    before = borrowed = 0
    for band, end in enumerate(ends):
        fair = int(end) - before - borrowed
        widths[band] = max(fair, settings.least)
        borrowed = max(settings.least - fair, 0)
        before = int(end)
    widths[-1] += settings.bins - widths.sum()  # the bin at half the rate, and what rounding left
    if (widths < 1).any():
        raise ModelError(f"{settings.bands} ERB bands do not fit {settings.bins} bins; check nb_erb and fft_size")
    return widths


def window(settings: Settings) -> F64:
    """Return the power-complementary window of analysis and synthesis (Vorbis's)."""
    place = (np.arange(settings.points) + 0.5) * np.pi / settings.points
    return np.asarray(np.sin(0.5 * np.pi * np.sin(place) ** 2))


def analysis_scale(settings: Settings) -> float:
    """Return the factor on the analysis' spectra; the synthesis undoes it."""
    return 2.0 * settings.hop / settings.points**2


def mean_start(settings: Settings) -> F64:
    """Return the running mean of the bands' levels before the first frame, in dB."""
    return np.linspace(-60.0, -90.0, settings.bands)


def magnitude_start(settings: Settings) -> F64:
    """Return the running mean of the low bins' magnitudes before the first frame."""
    return np.linspace(1e-3, 1e-4, settings.low)
