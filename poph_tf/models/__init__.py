"""Networks: presets, layers, losses; built, saved and loaded as Keras models."""
