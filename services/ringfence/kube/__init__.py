"""The Kubernetes API as Ringfence uses it: a thin aiohttp client, paths of resources, and a watch that never gives up.

Shared by the operator and by the services that speak to the API server themselves (gates, the watchdog).
Owns transport, credentials, errors and watching. Must not know any object's meaning, and never logs.
"""
