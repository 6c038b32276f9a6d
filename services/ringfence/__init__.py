"""Ringfence's data plane: the services that trade, and the SDK that strategies are written against.

Owns everything between a venue's socket and a strategy's decision. Must not import the operator: the
operator reads the contracts here (`runtime.config`, `wire`, `kube`), never the other way round.
"""
