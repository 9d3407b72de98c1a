"""Pieces as sound, pages and plots."""
