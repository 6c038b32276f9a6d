"""A simulated venue: a process that trades like an exchange and speaks a real exchange's protocol.

Owns matching, accounts, the market (recorded or generated), the dialect that clients see, and its own record
of everything it was asked: the proof that nothing arrived after a kill. Must not know the rest of the platform:
it imports `model` for values and `runtime` to be hosted, and nobody's trading code. The engines (catalog, book,
matching, accounts, generated, recorded, register, venue) are pure: time and randomness come in as arguments.

What it does not model, to be said in every report: the market does not react to our orders, other participants'
cancels ahead of us are assumed to be behind us (risk-averse queue), and a restart forgets accounts and orders
(there is no volume). Ids of orders, trades and updates go on from the time of the start, never from 1, and
`ringfence_simulator_start_time_seconds` tells when that was: a gate that traded before finds an account that no order
of its own explains, and halts.
"""
