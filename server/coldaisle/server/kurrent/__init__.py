"""The store over KurrentDB's gRPC protocol: for auditors' tools and for clients in any language.

Light to import: protobuf and the client package that brings the messages are loaded when a server starts.
"""

from coldaisle.server.kurrent.serve import kurrent_server
from coldaisle.server.kurrent.settings import KurrentSettings, User, hashed_password

__all__ = ["KurrentSettings", "User", "hashed_password", "kurrent_server"]
