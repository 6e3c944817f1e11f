"""English phrase tables: `*` marks verbs to conjugate, braces are filled from the facts."""

from __future__ import annotations

import re
from typing import Final

_ROLL_TOWARDS: Final = ("*roll towards {o}", "*approach {o}", "*move towards {o}", "*roll toward {o}")
_STANDS: Final = ("*stand still", "*stand", "*stand in place")
_REACHES: Final = ("*reach for {o}", "*reach out to {o}", "*stretch an arm towards {o}")
_WALKS: Final = ("*walk{d}", "*walk{d}", "*stride{d}", "*walk along{d}")
_APPROACH: Final = ("*approach each other", "*move towards each other", "*come towards each other")

#: (event, outcome) -> verb phrases. {n} how often, {d} direction, {o} the other subject, {w} works; empty when unsaid.
PHRASES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("bounce", "bounces"): (
        "*bounce{n}", "*bounce{n}", "*fall and *bounce{n}", "*drop and *bounce{n}", "*hit the ground and *bounce{n}",
        "*bounce{n} on the ground", "*hop up and down, bouncing{n}", "*bounce up and down{n}",
    ),
    ("bounce", "falls"): ("*fall", "*fall to the ground", "*drop to the ground", "*fall down", "*drop down"),
    ("stairs", "bounces down"): (
        "*bounce down grey stairs", "*bounce down the stairs", "*bounce down grey steps", "*hop down grey stairs",
        "*bounce down a grey staircase", "*go bouncing down grey stairs",
    ),
    ("stairs", "bounces on"): ("*bounce on grey stairs", "*bounce on the stairs", "*bounce on grey steps", "*hop on the stairs"),
    ("pendulum", "swings"): ("*swing", "*swing back and forth", "*swing from side to side", "*sway to and fro"),
    ("dominoes", "topple"): (
        "*topple one after another", "*topple one by one", "*tip over one after another", "*topple in a chain", "*fall one by one",
    ),
    ("dominoes", "stand"): ("*stand upright", "*stand in line", "*stand still", "*stay standing"),
    ("tower", "knocks over"): (
        "*knock over {o}", "*roll into {o} and *knock it over", "*topple {o}", "*hit {o} and *knock it down",
        "*crash into {o} and *topple it", "*go rolling into {o} and *knock it over",
    ),
    ("tower", "shakes"): ("*shake {o}", "*roll into {o} and *shake it", "*hit {o} and *make it wobble", "*bump into {o} and *shake it"),
    ("tower", "rolls towards"): _ROLL_TOWARDS,
    ("collide", "collide"): ("*collide", "*collide", "*crash into each other", "*bump into each other", "*hit each other"),
    ("collide", "approach"): _APPROACH,
    ("ramp", "rolls down"): ("*roll down a wooden ramp", "*roll down a ramp", "*go rolling down a wooden ramp", "*roll down a wooden slope"),
    ("ramp", "slides down"): ("*slide down a wooden ramp", "*slide down a ramp", "*go sliding down a wooden ramp", "*slide down a wooden slope"),
    ("pile", "heap"): ("*fall into a heap", "*drop into a heap", "*tumble into a pile", "*fall and *pile up", "*land in a heap"),
    ("roll", "rolls"): ("*roll{d}", "*roll{d}", "*roll across the ground{d}", "*go rolling{d}", "*roll along{d}"),
    ("relation", "rests"): ("*rest {r}", "*lie {r}", "*sit {r}", "*stand {r}"),
    ("car", "drives"): ("*drive{d}", "*drive{d}", "*drive along{d}", "*cruise{d}", "*go driving{d}"),
    ("car", "starts"): ("*start moving{d}", "*start driving{d}", "*begin to move{d}", "*set off{d}"),
    ("rope", "swings"): ("*swing from a hook", "*swing", "*sway from a hook", "*swing back and forth on a hook", "*dangle and *swing"),
    ("quadruped", "walks"): (*_WALKS, "*walk on four legs{d}"),
    ("quadruped", "moves its legs"): ("*move its legs", "*move its four legs", "*move all its legs"),
    ("flag", "waves"): ("*wave in the wind", "*flutter in the wind", "*wave", "*flutter in the breeze", "*flap in the wind", "*flutter"),
    ("bird", "flies"): ("*fly{d}", "*fly{d}", "*fly through the air{d}", "*flap its wings and *fly{d}"),
    ("robot walks", "walks"): _WALKS,
    ("robot walks", "stands"): _STANDS,
    ("robot stops", "walks and stops"): ("*walk{d} and *stop", "*walk{d}, then *stop", "*walk{d} and *come to a stop", "*walk{d} and *halt"),
    ("robot stops", "stands"): _STANDS,
    ("robot picks up", "picks up"): ("*pick up {o}", "*pick up {o}", "*lift {o}", "*lift up {o}", "*grab and *lift {o}"),
    ("robot picks up", "reaches for"): _REACHES,
    ("robot pushes", "pushes"): ("*push {o}{d}", "*push {o}{d}", "*shove {o}{d}", "*walk and *push {o}{d}"),
    ("robot pushes", "reaches for"): _REACHES,
    ("robot looks", "looks at"): ("*look at a glowing sign", "*gaze at a glowing sign", "*stare at a glowing sign", "*look at a sign"),
    ("robot looks", "stands"): _STANDS,
    ("float", "bobs"): ("*bob on the water", "*bob up and down on the water", "*float on the water", "*bob up and down", "*float and *bob"),
    ("float", "splashes"): ("*splash into the water", "*fall into the water with a splash", "*splash down", "*drop into the water with a splash"),
    ("fish", "jumps"): ("*jump out of the water", "*leap out of the water", "*jump", "*leap into the air"),
    ("fish", "swims"): ("*swim{d}", "*swim in the water{d}", "*swim along{d}"),
    ("waves", "roll"): ("*roll", "*rise and *fall", "*ripple", "*roll along", "*move across the water"),
    ("drift", "drifts"): (
        "*drift{d}", "*float weightlessly{d}", "*drift weightlessly{d}", "*drift in zero gravity", "*float in zero gravity",
    ),
    ("space collide", "collide"): (
        "*collide", "*drift into each other", "*drift weightlessly and *collide", "*bump into each other", "*hit each other",
        "*collide in zero gravity",
    ),
    ("space collide", "approach"): (*_APPROACH, "*drift towards each other"),
    ("paintings", "hang"): ("*hang on the wall", "*hang on a wall", "*hang on one wall"),
    ("gallery tour", "walks past"): ("*walk past {w}", "*walk past {w}", "*move past {w}", "*go past {w}"),
    ("leaves", "fall"): ("*fall", "*fall from the trees", "*flutter down", "*drift down", "*fall to the ground"),
    ("snowfall", "fall"): ("*fall", "*fall from the sky", "*come down", "*drift down"),
}  # fmt: skip
#: What the subject of an event does while it turns, base form and -ing form.
GOING: Final = {"car": ("drive", "driving"), "robot walks": ("walk", "walking"), "bird": ("fly", "flying")}
#: Verb phrases of so many turns ({a}, {b}: the first side and the other one; {go}, {going}: of GOING). The last ones
#: are of all that are more.
TURNS: Final = (
    ("*turn {a}", "*turn to the {a}", "*{go} and *turn {a}", "*turn {a} while {going}", "*{go}, turning {a}"),
    ("*turn {a}, then {b}", "*turn {a} and then {b}", "*turn {a}, then *turn {b}", "*{go}, turning {a} and then {b}",
     "*{go} and *turn {a}, then {b}"),
    ("*turn {a}, then {b}, then {a} again", "*turn {a}, {b} and {a} again", "*{go}, turning {a}, then {b}, then {a}"),
    ("*turn {a} and {b} several times", "*{go}, turning {a} and {b} again and again"),
)  # fmt: skip
#: Verb phrases of a pair whose first member acts on the second.
ACTS_ON: Final = {
    "collide": ("*collide with {o}", "*hit {o}", "*crash into {o}", "*bump into {o}"),
    "approach": ("*approach {o}", "*move towards {o}", "*come towards {o}"),
}
#: What only two balls do.
BOTH_ROLL: Final = {
    "collide": ("*roll towards each other and *collide", "*roll into each other", "*roll into each other and *collide"),
    "approach": ("*roll towards each other", "*go rolling towards each other"),
}
#: How often the ball's picture is joined with fixed scenery in a still scene.
STILL_SCENERY: Final = {
    "stairs": (" and grey stairs", " with grey stairs", " by a grey staircase", " at grey steps"),
    "ramp": (" and a wooden ramp", " by a wooden ramp", " at a wooden ramp", " with a ramp"),
    "robot looks": (" and a glowing sign", " by a glowing sign", " with a glowing sign"),
    "rope": ("", " on a hook", " hanging from a hook"),
    "flag": ("", " on a pole"),
    "bird": ("", " in the air"),
}
NUMBERS: Final = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
TIMES_OFTEN: Final = {1: ("once", "one time"), 2: ("twice", "two times"), 3: ("three times", "3 times")}
#: Where it is: nouns from the lexicon with their preposition and article; {a} is 'a' or, less often, 'the'.
PLACES: Final = {
    "art gallery": (
        "in {a} art gallery",
        "in {a} gallery",
        "inside {a} art gallery",
        "in {a} art museum",
        "in {a} museum",
    ),
    "neon street": ("on {a} neon street", "in {a} neon street", "on {a} neon-lit street", "in {a} neon alley"),
    "desert": ("in {a} desert", "in {a} desert", "in {a} sandy desert", "on desert sand"),
    "sea": ("at sea", "on the sea", "in the sea", "on the open sea", "in the ocean", "on the ocean"),
    "snowy field": (
        "on {a} snowy field",
        "in {a} snowy field",
        "in the snow",
        "on {a} snow field",
        "on {a} snow-covered field",
    ),
    "forest": ("in {a} forest", "in {a} forest", "in the woods", "in {a} woodland"),
    "tiled plaza": ("on {a} tiled plaza", "in {a} tiled plaza", "on {a} tiled square", "in {a} plaza"),
    "outer space": ("in outer space", "in outer space", "in space", "in deep space"),
    "brick courtyard": ("in {a} brick courtyard", "in {a} brick courtyard", "in {a} courtyard", "in {a} brick yard"),
    "cyberpunk city": ("in {a} cyberpunk city", "in {a} cyberpunk city", "on {a} cyberpunk street"),
}
TIME_PHRASES: Final = {
    "noon": ("at noon", "at noon", "at midday", "in the midday sun", "in daylight", "in bright sunlight"),
    "sunset": ("at sunset", "at sunset", "at dusk", "at sundown", "in the evening glow", "during golden hour", "as the sun sets"),
    "night": ("at night", "at night", "by night", "in the dark of night", "under the night sky", "at nighttime"),
    "foggy morning": ("on a foggy morning", "on a foggy morning", "on a misty morning", "in the morning fog", "in morning mist"),
}  # fmt: skip
STYLE_OF: Final = {
    "photo": ("realistic footage of", "a photorealistic video of", "a realistic video of"),
    "watercolor": ("a watercolor of", "a watercolor painting of", "a watercolour of"),
    "pixel art": ("pixel art of", "a pixel art scene of", "an 8-bit pixel art animation of"),
    "cyberpunk": ("cyberpunk art of", "a cyberpunk scene of", "a cyberpunk style video of"),
    "pencil sketch": ("a pencil sketch of", "a pencil drawing of", "a sketch of"),
    "oil painting": ("an oil painting of", "an oil painting of", "a moving oil painting of"),
    "cartoon": ("a cartoon of", "an animated cartoon of", "a cartoon scene of"),
    "film noir": ("a film noir scene of", "black-and-white film noir of", "a film noir movie of"),
}
STILL_STYLE_OF: Final = {
    **{style: openers[:1] for style, openers in STYLE_OF.items()},
    "photo": ("a photo of", "a photograph of", "a realistic picture of"),
    "watercolor": STYLE_OF["watercolor"],
    "pixel art": STYLE_OF["pixel art"][:2],
    "cyberpunk": STYLE_OF["cyberpunk"][:2],
    "pencil sketch": STYLE_OF["pencil sketch"],
    "cartoon": ("a cartoon of", "a cartoon scene of"),
    "film noir": STYLE_OF["film noir"][:2],
}
STYLE_IN: Final = {
    "photo": ("photorealistic", "realistic style", "live action"),
    "watercolor": ("in watercolor style", "in the style of a watercolor", "painted in watercolor", "watercolor style", "as a watercolor"),
    "pixel art": ("in pixel art style", "pixel art", "in 8-bit pixel art", "as pixel art", "in the style of pixel art"),
    "cyberpunk": ("in cyberpunk style", "cyberpunk style", "in the style of cyberpunk", "with a cyberpunk look"),
    "pencil sketch": ("as a pencil sketch", "in pencil sketch style", "drawn in pencil", "in the style of a pencil drawing", "pencil sketch"),
    "oil painting": ("as an oil painting", "in oil painting style", "painted in oils", "in the style of an oil painting", "oil painting"),
    "cartoon": ("in cartoon style", "as a cartoon", "cartoon style", "in the style of a cartoon", "cartoon"),
    "film noir": ("in film noir style", "black-and-white film noir", "in the style of film noir", "film noir style", "as film noir"),
}  # fmt: skip
_CAMERA: Final = {
    "static": ("*be still", "*stay still", "*be fixed", "*be static"),
    "orbit": ("*orbit {s}", "*orbit to the {s}", "*circle to the {s}", "*revolve to the {s}", "*circle {s}"),
    "push in": ("*push in", "*move closer", "*move in", "*dolly in", "*come closer"),
    "pull back": ("*pull back", "*move back", "*back away", "*pull away", "*dolly out"),
    "crane up": ("*crane up", "*rise", "*move up", "*go up"),
    "truck": ("*truck {s}", "*track {s}", "*slide to the {s}", "*move to the {s}", "*track to the {s}", "*travel {s}"),
}
SHOTS: Final = {
    "static": ("static camera", "static shot", "fixed camera", "locked-off shot"),
    "orbit": ("orbiting shot to the {s}", "camera orbiting {s}", "orbit shot to the {s}"),
    "push in": ("push-in shot", "camera pushing in", "dolly-in shot"),
    "pull back": ("pull-back shot", "camera pulling back", "dolly-out shot"),
    "crane up": ("crane shot", "crane-up shot", "camera craning up"),
    "truck": ("tracking shot to the {s}", "trucking shot to the {s}", "camera tracking {s}"),
}
#: (event, outcome) -> single words that tell what happens.
ONE_WORD: Final = {
    ("bounce", "bounces"): ("bouncing",), ("stairs", "bounces down"): ("stairs",), ("dominoes", "topple"): ("toppling",),
    ("collide", "collide"): ("collision",), ("ramp", "rolls down"): ("ramp",), ("ramp", "slides down"): ("ramp", "sliding"),
    ("roll", "rolls"): ("rolling",), ("car", "drives"): ("driving",), ("bird", "flies"): ("flying",), ("flag", "waves"): ("fluttering",),
    ("robot walks", "walks"): ("walking",), ("quadruped", "walks"): ("walking",), ("float", "bobs"): ("floating",),
    ("fish", "swims"): ("swimming",), ("fish", "jumps"): ("jumping",), ("waves", "roll"): ("waves",), ("drift", "drifts"): ("drifting",),
    ("paintings", "hang"): ("paintings",), ("leaves", "fall"): ("leaves",), ("snowfall", "fall"): ("snow", "snowfall"),
    ("tower", "knocks over"): ("tower",), ("pile", "heap"): ("heap",),
}  # fmt: skip
SETTING_WORD: Final = {
    "art gallery": ("gallery", "museum"), "neon street": ("street", "neon"), "desert": ("desert", "dunes"), "sea": ("sea", "ocean"),
    "snowy field": ("snow", "snowfield"), "forest": ("forest", "woods"), "tiled plaza": ("plaza", "square"),
    "outer space": ("space", "cosmos"), "brick courtyard": ("courtyard", "yard"), "cyberpunk city": ("city", "cyberpunk"),
}  # fmt: skip
_IRREGULAR: Final = {"be": ("is", "are", "being"), "go": ("goes", "go", "going"), "lie": ("lies", "lie", "lying")}
_DOUBLED: Final = ("hop", "hit", "bob", "stop", "drop", "sit", "swim", "flap", "set", "grab", "tip", "begin")


def conjugate(verb: str) -> tuple[str, str, str]:
    """Base form -> (third person singular, plural, -ing form)."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb[-1] == "y" and verb[-2] not in "aeou":
        third = verb[:-1] + "ies"
    else:
        third = verb + ("es" if verb.endswith(("s", "sh", "ch", "x")) else "s")
    stem = verb + verb[-1] if verb in _DOUBLED else verb[:-1] if verb.endswith("e") and verb[-2] != "e" else verb
    return third, verb, stem + "ing"


_VERB: Final = re.compile(r"\*(\w+)")


def _forms(phrase: str) -> tuple[str, str, str]:
    """The phrase's three forms, in the order of `conjugate`."""
    # 'going rolling' and 'starting driving' are no English.
    participle = (
        re.sub(r"\*go (\w+ing)", r"\1", phrase)
        .replace("*start moving", "*start to move")
        .replace("*start driving", "*start to drive")
    )
    return (
        _VERB.sub(lambda m: conjugate(m[1])[0], phrase),
        _VERB.sub(lambda m: conjugate(m[1])[1], phrase),
        _VERB.sub(lambda m: conjugate(m[1])[2], participle),
    )


Forms = tuple[str, str, str]
PHRASE_FORMS: Final = {key: tuple(_forms(p) for p in phrases) for key, phrases in PHRASES.items()}
TURN_FORMS: Final = {
    (event, count): tuple(
        _forms(p.replace("{going}", going).replace("{go}", go)) for p in phrases if event == "car" or "{go" in p
    )
    for event, (go, going) in GOING.items()
    for count, phrases in enumerate(TURNS, 1)
}
ACT_FORMS: Final = {outcome: tuple(_forms(p) for p in phrases) for outcome, phrases in ACTS_ON.items()}
BOTH_ROLL_FORMS: Final = {outcome: tuple(_forms(p) for p in phrases) for outcome, phrases in BOTH_ROLL.items()}
REST_FORMS: Final = tuple(_forms(p) for p in ("*rest on the ground", "*lie on the ground", "*rest", "*lie still"))
CAMERA_FORMS: Final = {key: tuple(_forms(p) for p in phrases) for key, phrases in _CAMERA.items()}
PLURALS: Final = {"box": "boxes", "fish": "fish", "dominoes": "dominoes", "domino tiles": "domino tiles"}
