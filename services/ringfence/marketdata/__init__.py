"""Market data of one venue: order books in sync, best quotes and trades, and whether they may be traded on.

Owns the rule by which a book is rebuilt from a snapshot and its changes, and the judgement that data is usable:
no gap, not crossed, not stale. `book` and `sync` are pure. Must not publish a book that it cannot prove, and
must know no order, position or account.
"""
