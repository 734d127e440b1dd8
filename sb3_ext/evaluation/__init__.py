"""Judge a model: play episodes, evaluate, decide when training has converged, show it."""
