"""Forecasts: what a series will be, when it meets a limit, how long a part may last."""

from coldaisle.core.forecast.limit import Crossing, Trend, crossing, crossing_sentence, trend
from coldaisle.core.forecast.series import Outlook, Sample, outlook, steps_of

__all__ = [
    "Crossing",
    "Outlook",
    "Sample",
    "Trend",
    "crossing",
    "crossing_sentence",
    "outlook",
    "steps_of",
    "trend",
]
