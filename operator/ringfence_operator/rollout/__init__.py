"""What a system's tracks may do, and what to say about it: `decide(spec, state, observation, now) -> Decision`.

Owns stages, weights, conditions and the reasons in them. Pure: no API client, no clock, no logging, no I/O;
imports in an environment that has nothing but pydantic. Absence is never success: what is not known holds.
"""
