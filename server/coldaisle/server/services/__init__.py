"""The gRPC services: each translates requests, asks the twin or the store, and translates answers."""
