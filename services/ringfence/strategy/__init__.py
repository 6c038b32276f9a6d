"""Runs one strategy: the author's class between market data and a gate.

Owns when a strategy may decide, what it is told of its orders, and the ids of its intents. Must not hold
credentials, talk to a venue, or decide whether an order may be sent: that is the gate's.
"""
