"""What a training run is made of, and what it leaves behind."""
