"""Networks, a file each, and what they are made of; ``presets`` chooses one by its name."""
