"""Adapters: one package per venue, all behind `api.TradingVenue` and `api.MarketVenue`.

Owns protocols: signing, parsing, connections, clock offset, rate limits. Codecs are pure and apart from the
sockets. Must not decide whether an order may be sent, and can send nothing but an `Approved`.
"""
