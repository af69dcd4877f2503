"""What the operator wants: the model (LIO's), its settings, its saved form, and the difference between two of them."""
