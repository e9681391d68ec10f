"""The commands, as click sees them. They import what they work with when they are used."""
