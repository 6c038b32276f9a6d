"""The Binance spot protocol as the simulated venue speaks it: REST, market streams and WebSocket API.

Owns names, number formats, error codes, signatures and request limits of that protocol. Must not decide what
happens to an order: that is the venue's. Codecs (`auth`, `errors`, `limits`, `encode`, `api`) are pure and apart
from the sockets (`rest`, `streams`, `wsapi`). Another protocol is another package beside this one.
"""
