"""Benchmarks: each module runs alone, measures against a peer in the same run, prints medians and n, asserts nothing.

python -m benchmarks                 those that need no lab, one after the other
python -m benchmarks.lab             those on the real Xen (boots the lab)
"""
