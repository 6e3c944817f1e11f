"""A whole request for every route that takes JSON, by the name of its schema; the OpenAPI description shows them.

`video_123`, `file_123` and their like stand for what there is; tests/test_serve_examples.py puts that in their place
and sends every one.
"""

from __future__ import annotations

from typing import Any

CLIP = {"video_id": "video_123"}
PLAN = {
    "size": "896x512", "seed": 7, "remember": "a red ball in the snow",
    "shots": [
        {"key": "a", "prompt": "a red ball falls", "seconds": 3.0},
        {"key": "b", "prompt": "it rolls to the left", "seconds": 2.0, "transition": "continue"},
    ],
}  # fmt: skip

EXAMPLES: dict[str, dict[str, Any]] = {
    "CreateVideo": {
        "model": "sora-2", "prompt": "a red rubber ball bounces down grey stairs in a desert at sunset", "seconds": "4",
        "size": "1280x720",
    },
    "EditVideo": {"prompt": "the same at night", "video": {"id": "video_123"}, "strength": 0.5},
    "ExtendVideo": {"prompt": "the ball rolls away to the left", "video": {"id": "video_123"}, "seconds": "4"},
    "RemixVideo": {"prompt": "a blue ball instead"},
    "NewWebhook": {
        "name": "my queue", "url": "https://example.com/hook", "event_types": ["video.completed", "video.failed"],
    },
    "ChangedWebhook": {"name": "my other queue"},
    "Rotation": {"keep_old_secret_active_for_24_hours": True},
    "Trial": {"event_type": "video.completed"},
    "Generate": {
        "prompt": "눈밭에서 파란 자동차가 오른쪽으로 달린다", "seconds": 4, "size": "896x512", "seed": 7,
        "camera": "orbit left 40, then push in", "negative": "trees",
    },
    "Extend": {"prompt": "the ball comes to rest", "clip": CLIP, "seconds": 2, "backward": False, "only_new": True},
    "Connect": {"prompt": "a ball rolls from one to the other", "first": CLIP, "second": CLIP, "seconds": 2},
    "Loop": {"prompt": "a flag in the wind", "clip": CLIP},
    "Retake": {"prompt": "the ball turns green", "clip": CLIP, "start": 0.25, "end": 0.75},
    "Keyframes": {
        "prompt": "a ball rolls through a forest", "seconds": 4,
        "keyframes": [{"at": 0.0, "image": {"file_id": "file_123"}}, {"at": 3.5, "image": {"file_id": "file_123"}}],
    },
    "Remix": {"prompt": "the same in a desert", "clip": CLIP, "strength": 0.7},
    "Inpaint": {"prompt": "a green ball", "clip": CLIP, "box": [0.25, 0.25, 0.75, 1.0]},
    "Blend": {"prompt": "day turns into night", "first": CLIP, "second": CLIP, "seconds": 2, "hold": 0.5},
    "Storyboard": {
        "title": "A ball in winter", "size": "896x512", "remember": "a red ball",
        "shots": [
            {"prompt": "a red ball falls in the snow", "seconds": 3},
            {"prompt": "it rolls to the left", "seconds": 2, "transition": "continue"},
            {"prompt": "it lies in a forest at night", "seconds": 2, "transition": "dissolve"},
        ],
    },
    "Changes": {"favourite": True, "folder": "winter", "stars": 4},
    "Again": {"seed": 8, "prompt": "a green ball rolls"},
    "AskPrompt": {"prompt": "a ball bounces", "expand": True},
    "Variations": {"prompt": "a pink ball drifts in outer space", "count": 4, "seconds": 2, "size": "448x256"},
    "Assemble": {"title": "Two", "cuts": [{"clip": CLIP, "end": 0.5}, {"clip": CLIP, "dissolve": False}]},
    "NewBoard": {"title": "A ball in winter", "plan": PLAN},
    "SavedBoard": {"title": "A ball in winter", "plan": PLAN, "revision": 1},
    "BeginWorld": {"prompt": "a red car in the desert", "seed": 4},
    "HoldKeys": {"number": 1, "steer": -1, "go": 1},
    "SaveRide": {"size": "896x512"},
    "Preference": {"first": "video_123", "second": "video_456", "choice": "first"},
    "Whose": {"everybody": False},
    "AskKey": {"name": "the shop", "scopes": ["read", "write"], "limits": {"requests_per_minute": 20}},
    "Rotate": {"keep": 3600},
    "PutPolicy": {"digest": "0123456789abcdef", "categories": {"gore": {"threshold": 0.9}}},
}  # fmt: skip


def show(schemas: dict[str, Any]) -> None:
    """Put every example beside its schema, in the components of an OpenAPI description."""
    for name, body in EXAMPLES.items():
        schemas[name]["examples"] = [body]
