"""Binance spot: live, testnet and the simulator, by the same code; only the addresses differ.

Owns the venue's protocol: signing, requests by REST and by the WebSocket API, market streams, the private stream, the
clock offset and the rate budget. `calls` and `request` (what is asked), `codec`, `candles` and `stream` (what is told),
`limits` and `offset` are pure; `client`, `wsapi`, `market` and `trading` own the sockets. Must not decide whether an
order may be sent, must never repeat a POST, and must let no credential into a log, a repr, an exception or the text of
an error.
"""
