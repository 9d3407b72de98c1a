"""Records on disk: TFRecord framing, wire format, what is salvaged of damage."""
