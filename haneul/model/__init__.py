"""The model: text encoder, codec, diffusion transformer, flow matching, samplers.

Nothing here knows of devices, compilation, files of the project or parallelism; those wrap it from outside.
"""
