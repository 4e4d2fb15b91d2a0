"""Neural Amp Modeler's `.nam` files: every architecture of the format becomes a graph of our ops."""
