"""The facts that travel between services, as protobuf, and how they map to messages."""
