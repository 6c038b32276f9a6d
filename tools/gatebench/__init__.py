"""One gate program with everything around it: simulated venue, real marketdata, a real bus, an API server.

For contract tests and measurements. The gate runs as a process of its own, so that it can be killed. Beside it, for
unit and property tests, the engines of a gate without a host (`stoprig`, `warmrig`) and what such tests have in common
(`ordinary`). Must not be imported by anything that ships.
"""
