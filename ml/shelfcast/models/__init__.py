"""The networks, one preset a file, and their building blocks; docs/model.md explains them."""
