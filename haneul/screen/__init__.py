"""The screen: what is asked for, given and made is looked at before it is used or leaves.

    words -> normalise.py -> rules.py (policy.toml) and classifier.py -> a decision -> audit.py

`words` looks at the texts of a request, `given` at its pictures and videos, `made` at frames that come out. Each
returns warnings for what the policy only flags, raises RefusedError for what it refuses, and writes its decision to the
audit log. They are stages of engine.make, like the watermark, and not options.
"""

from haneul.screen.media import given, made
from haneul.screen.words import Finding, look, words

__all__ = ["Finding", "given", "look", "made", "words"]
