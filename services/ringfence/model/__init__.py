"""The domain in plain values: money, instruments, orders, fills and positions.

Owns arithmetic and the order state machine. Pure: no clock, no random numbers, no I/O, no logging, and no
floating point for money. Must not know any venue, bus or file format.
"""
