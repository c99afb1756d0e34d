"""The models of all presets, and their building blocks; docs/model.md explains them."""
