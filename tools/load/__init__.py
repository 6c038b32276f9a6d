"""Load on a whole system of processes: strategy -> gate -> Binance adapter -> simulated venue, and the books compared.

Owns the rig of processes, the phases of a run, and the count that says that nothing was lost or doubled. Starts the
services as the operator's pods do, and asks them only what anybody may ask: their documents, metrics and journal.
"""
