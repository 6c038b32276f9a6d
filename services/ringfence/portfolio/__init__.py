"""What each track holds, has won and lost, and is worth: a fold of the gates' own records.

Owns the books that people and the rollout read. Must not decide anything: limits are enforced by the gate, from its
own books. Keeps nothing on disk: a gate's journal is complete and is replayed at every start, so a second copy
could only be wrong.
"""
