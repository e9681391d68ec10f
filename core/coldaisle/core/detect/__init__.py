"""Detection: every series by record novelty, every asset by a river model, what is known by limits."""

from coldaisle.core.detect.detector import Detector
from coldaisle.core.detect.limits import default_rules
from coldaisle.core.detect.saved import REACTION_MEANING

__all__ = ["REACTION_MEANING", "Detector", "default_rules"]
