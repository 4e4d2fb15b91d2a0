"""The stages of a skin whose recordings lie in folders that the recipe names."""

from rtvoice.train.skin import stages
from rtvoice.train.stages import Graph

GRAPH = Graph(stages(None))
