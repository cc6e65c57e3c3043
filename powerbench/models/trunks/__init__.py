"""Trunks, one a file: a function called like its file that returns a Trunk.

A function gets its arguments from the config and, if it takes it, ``pytorch_home``. A file may define
``weights_file(pytorch_home=None, **arguments) -> Path | None``: the file of initial weights that the same
arguments lead to (None: random weights), so that it can be identified without building the network.
"""
