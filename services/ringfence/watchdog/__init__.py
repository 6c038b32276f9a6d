"""The watchdog of one account: cancels when execution can not, and compares the account with what execution tells.

Owns a second connection to the venue, with a key of its own, on another node where there is one. It can cancel and
look, and nothing else: nothing in it, and nothing that it is given, can send an order. `judge`, `stops` and `dropcopy`
are pure. Must not import execution, and must never act because of what it has not heard from one source alone.
"""
