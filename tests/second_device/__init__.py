"""A device that computes as the CPU does and refuses what a GPU refuses: tensors of two devices in one operation.

Where no GPU is at hand it shows whether a model is trained, judged and drawn on one device. It needs a C++ compiler and
ninja, and is built once a session (`device.cpp`).
"""
