"""What services say to each other: messages, their codec, and the topics.

Owns the bus contract and its version. Frozen msgspec structs, encoded as arrays; decoded once, at the edge.
Pure: opens no socket. A field's meaning never changes; a new meaning is a new message or a new version.
"""
