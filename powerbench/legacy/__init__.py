"""What powerful-benchmarker 0.9.x wrote (configs, checkpoints, tables), read into today's terms.

Only here does the program know that format. Nothing is written into such a folder, and nothing in it is run: tensors
are loaded as weights only, databases opened read-only.
"""

PROGRAM = "powerful-benchmarker"
