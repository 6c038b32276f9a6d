"""The paper gate: the execution program under a name of its own; ``GateConfig.paper`` chooses the venue."""
