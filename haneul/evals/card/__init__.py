"""`haneul eval card`: what a model knows of the physical world, how it obeys, how it looks; several side by side."""
