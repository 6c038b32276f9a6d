"""The gate of one account: checks, sends, and answers for orders. The only process that holds venue credentials.

Owns the last check before the wire, the order book of what it sent, the sub-ledger of each track, reconciliation
with the venue, and every way in which it can be stopped. The engines (`gate`, `manager`, `losses`, `grants`) are
pure; `app` gives them sockets, disk and time. Must not decide what to trade, and must never send what its guard,
its Lease or its journal do not allow.
"""
