"""Worked examples: each a whole strategy that an author may start from. Owns nothing that the platform needs."""
