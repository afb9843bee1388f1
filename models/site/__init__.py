"""Models of the site: bundles, TorchScript, ONNX, commands and adapters, each with a card in TOML, no code needed."""
