"""How close composed pieces come to real ones, and what they copy."""
