"""The demonstration: a simulated hall, the server and an agent as children of this process."""
