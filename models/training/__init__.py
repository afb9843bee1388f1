"""Training and evaluation of the models that the project ships; needs the ``train`` extra."""
