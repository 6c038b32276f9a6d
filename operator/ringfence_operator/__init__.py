"""Ringfence's control plane: turns each TradingSystem into workloads, keeps them so, and reports.

Owns the way from a trigger to a status: queue, observe, decide, build, apply, report. It is never in the path of an
order, keeps nothing in memory that the next pass needs, and imports of the services only their contracts
(`ringfence.kube`, `ringfence.runtime.config`, `ringfence.wire`).
"""
