"""What the meters say of the mains: voltages and frequency that wander a little, as they do everywhere.

Pure functions of seed, place and time. The plant itself reckons with nominal volts; only displays wander.
"""

from coldaisle.lab.noise import jitter, wander
from coldaisle.lab.plant import SECONDS_A_READING
from coldaisle.lab.power import LINE_VOLTS

FEED_WANDER_VOLTS, FEED_WANDER_SECONDS = 3.0, 900.0
"""A feed follows what the neighbourhood draws."""
UPS_NOISE_VOLTS = 0.6
"""What leaves a UPS is regulated."""
MAINS_HERTZ, FREQUENCY_WANDER_HERTZ, FREQUENCY_WANDER_SECONDS = 50.0, 0.08, 120.0
FEED_CHANNEL, OUTPUT_CHANNEL, FREQUENCY_CHANNEL = 3_000, 3_100, 3_900


def feed_volts(seed: int, feed: int, line: int, seconds: float) -> float:
    """Return what comes in on one line of a feed."""
    slow = wander(seed, FEED_CHANNEL + 8 * feed + line, seconds, FEED_WANDER_SECONDS)
    return LINE_VOLTS + FEED_WANDER_VOLTS * slow


def output_volts(seed: int, place: int, line: int, seconds: float) -> float:
    """Return what a meter behind a UPS reads on one line; `place` tells the meters apart."""
    moment = int(seconds // SECONDS_A_READING)
    return LINE_VOLTS + UPS_NOISE_VOLTS * jitter(seed, OUTPUT_CHANNEL + 8 * place + line, moment)


def mains_hertz(seed: int, seconds: float) -> float:
    """Return the frequency of the grid: one for both feeds."""
    slow = wander(seed, FREQUENCY_CHANNEL, seconds, FREQUENCY_WANDER_SECONDS)
    return MAINS_HERTZ + FREQUENCY_WANDER_HERTZ * slow
