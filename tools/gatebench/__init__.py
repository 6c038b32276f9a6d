"""One gate program with everything around it: simulated venue, real marketdata, a real bus, an API server.

For contract tests and measurements. The gate runs as a process of its own, so that it can be killed. Must not be
imported by anything that ships.
"""
