"""`ringfence` and `kubectl ringfence`: what people type.

Owns reading a system's objects, saying what they mean, and the few writes that a person makes in a hurry. Must not
decide anything that the operator or a gate decides, and must never use a context that nobody named.
"""
