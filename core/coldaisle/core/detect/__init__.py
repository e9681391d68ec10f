"""Detection: every series by record novelty, every asset by a river model, what is known by limits."""

from coldaisle.core.detect.detector import Detector
from coldaisle.core.detect.limits import default_rules

__all__ = ["Detector", "default_rules"]
