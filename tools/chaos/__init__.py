"""Exactly once, attacked: seeded episodes of trading with faults and kills, and a comparison that forgives nothing.

Owns two kinds of episode. The fast ones (`episode`) run the gate's real host, journal and venue adapter against the
simulated venue in one process and in virtual time; the wire between them loses, delays and repeats, and a kill drops
everything but the journal's bytes. The slow ones (`processes`) kill -9 the real program. Must not be imported by
anything that ships.
"""
