"""A worked example of a strategy package: what an author writes, and nothing else.

Owns one strategy class. Imports `ringfence.sdk` only, never a service.
"""
