"""Hosts: what gives the pure engines sockets, time and disk.

Owns clocks, the bus, configuration files, the journal, the guard, health and metrics, and the life of a
service from start to SIGTERM. Must not contain trading decisions: those are in the engines.
"""
