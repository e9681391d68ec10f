"""The command line: a gRPC client."""
