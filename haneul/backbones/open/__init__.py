"""Open video checkpoints, run through diffusers, behind the engine's protocol (docs/open-models.md).

    sources.py     what the installed diffusers can run, read from its source
    folder.py      a checkpoint's folder: its files checked before anything is loaded
    family.py      what a checkpoint can do: which calls, frame rules, sizes, rate
    licences.py    under which terms it may be used
    memory.py      what it takes, and how it is brought into what there is
    quantise.py    its weights in eight bits by torchao
    parallel.py    one video by several graphics cards
    modes.py       each mode, native or built from the calls that there are
    context.py     what a window of a long video sees of the last one, and the noise on it
    control.py     control in other ways than a video and a mask
    backbone.py    the engine's protocol

Only backbone.py and what it calls import torch and diffusers; everything before that is immediate.
"""
