"""A simulated data hall that speaks real protocols."""
