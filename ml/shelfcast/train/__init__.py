"""Trains one network for all series with DistributedDataParallel and exports it to ONNX."""
