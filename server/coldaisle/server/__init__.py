"""The composition root: ingest, projections, reactors, API."""
