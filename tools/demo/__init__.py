"""`make demo`: the whole story on a real cluster, as a person would do it by hand.

Owns choosing a cluster and telling the story; the same `cluster` module gives the end-to-end tests theirs.
Everything it does to the cluster is a kubectl or helm command that it could print. Must not contain anything
that the product needs in order to work.
"""
