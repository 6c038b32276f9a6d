"""What should exist, as manifests. PURE: a plan in, dictionaries out.

`objects.py` is the table of contents of everything that we own. Must not read the cluster, a clock, a file or
randomness: keys, epochs and observed documents are in the plan.
"""
