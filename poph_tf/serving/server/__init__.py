"""A development server that answers TF Serving's REST API."""
