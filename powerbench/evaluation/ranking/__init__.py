"""The rank-counting engine: at which rank the relevant items of each query stand, exactly, without sorting the rest.

The rank of a query's i-th closest relevant item is i plus the number of irrelevant items that are closer. So only
three things are needed: the distances to the relevant items (``positives``), for every other item the relevant ones
it beats (``tiles``, ``torch_tiles``, ``faiss_lists``: three ways to the same counts), and their sums (``counts``).
"""
