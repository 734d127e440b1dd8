"""Export trained agents: to ONNX, and to web pages that play."""
