"""The shipped operator process on a real API server, in a namespace of its own: the harness of contract tests.

It owns starting, stopping and killing the process with exactly the rights that the operator ships with. It must not
write what the operator writes: what a kubelet or a gate would report is written by the tests themselves, for a gate
in the words of `reports`.
"""
