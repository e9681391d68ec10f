"""External systems: collect from them, act on them."""
