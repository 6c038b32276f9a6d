"""The paper venue: fills simulated on the live market, behind the same protocol as a real venue.

Owns a small matching engine for our own orders only (`engine`, pure) and its host (`venue`: latency and delivery).
Fills are risk-averse: a resting order waits for all that was displayed before it. The market does not react to us.
Must not be mistaken for the simulator service, which is a whole venue with its own market.
"""
