"""Whole rollouts in simulated time, by seed: the real `decide` and the real analysis against a world that misbehaves.

Prometheus goes away or lies, the operator dies at any await, people edit, approve, stop and change their minds, the
clock runs wrong, execution refuses. `rules` looks at every step that was taken, from outside.
"""
