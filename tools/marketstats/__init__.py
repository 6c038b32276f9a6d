"""How like the recorded market the generated one is: both as tapes, one set of statistics, a table with tolerances.

Owns the measuring only. What makes the generated market is `ringfence.simulator.generated`; nothing here may be
imported by a service. The tolerances are not tighter than what the two halves of the recording differ by.
"""
