"""The domain: events, the store, the twin, detection. Imports no wire and no protocol."""
