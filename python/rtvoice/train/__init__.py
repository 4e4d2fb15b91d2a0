"""Training of skins (needs the `train` extra): `python -m rtvoice.train --help`."""
