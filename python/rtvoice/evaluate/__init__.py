"""Judges skins by measures: who they sound like, what is understood, how natural it is, what streaming costs."""

from __future__ import annotations

from rtvoice.evaluate.judge import Judgement, NotMeasurable, evaluate, judge, quick

__all__ = ["Judgement", "NotMeasurable", "evaluate", "judge", "quick"]
