"""Reading a compiled mail: Liquid out of the way, bounds, the tree, its style and its words; pure."""
