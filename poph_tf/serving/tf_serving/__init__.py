"""TF Serving's REST API for a SavedModel of this package."""
