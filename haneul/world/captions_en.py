"""English captions. `write` is the door; the phrase tables are in `phrases_en`."""

from __future__ import annotations

from haneul.world import lexicon as lex
from haneul.world.phrases_en import (
    ACT_FORMS, CAMERA_FORMS, NUMBERS, ONE_WORD, PHRASE_FORMS, PLACES, PLURALS, SETTING_WORD, SHOTS, STILL_SCENERY,
    STILL_STYLE_OF, STYLE_IN, STYLE_OF, TIME_PHRASES, TIMES_OFTEN, Forms,
)  # fmt: skip
from haneul.world.scene import Facts, Subject
from haneul.world.wording import SUBJECTLESS, Caption, Dice, Length, Plan, make_plan, say_event


def _a(noun: str) -> str:
    return ("an " if noun[0] in "aeioAEIO" or noun.startswith(("umbrella", "8-bit")) else "a ") + noun


def _plural(noun: str) -> str:
    return PLURALS.get(noun) or noun + "s"


def _number(dice: Dice, n: int) -> str:
    return NUMBERS[n] if n < len(NUMBERS) and dice.chance(0.6) else str(n)


def _adjectives(plan: Plan, dice: Dice, subject: Subject, main: bool) -> str:
    """'red rubber ' with a trailing space, or ''."""
    words = ""
    color = plan.color_of(subject)
    if color is not None:
        words = dice.word(lex.COLORS[color].en, 0.88) + " "
        if main:
            plan.said.add("color")
    if plan.material and subject.material is not None:
        words += dice.word(lex.MATERIALS[subject.material].en, 0.8) + " "
        if main:
            plan.said.add("material")
    return words


def _noun(plan: Plan, dice: Dice, subject: Subject, *, main: bool = True, article: bool = True) -> str:
    """A noun phrase for one subject: 'a red rubber ball', 'a red ball made of rubber', 'red ball'."""
    name = dice.word(lex.KINDS[subject.kind].en, 0.8)
    if main:
        plan.said.add("kind")
    if plan.material and subject.material in ("rubber", "plastic", "wood", "metal", "marble") and dice.chance(0.06):
        plan.material = False
        noun = _adjectives(plan, dice, subject, main) + name + " made of " + subject.material
        plan.material = True
        if main:
            plan.said.add("material")
    else:
        noun = _adjectives(plan, dice, subject, main) + name
    return _a(noun) if article else noun


def _boxes(plan: Plan, dice: Dice) -> str:
    """The tower's stack: 'a stack of 4 blue wooden boxes'."""
    stack = plan.facts.subjects[1]
    adjectives = _adjectives(plan, dice, stack, False)
    number = _number(dice, plan.facts.count) + " " if plan.count and plan.facts.count else ""
    boxes = dice.word(("boxes", "cubes", "crates"), 0.8)
    if plan.still:
        return f"{number or 'some '}{adjectives}{boxes}"
    return f"a {dice.word(('stack', 'tower'), 0.7)} of {number}{adjectives}{boxes}"


def _heap(plan: Plan, dice: Dice) -> str:
    """The objects of a pile: by their common colour and kind where they have one."""
    subjects, count = plan.facts.subjects, plan.facts.count
    number = _number(dice, count) if plan.count and count else dice.pick(("several", "some"))
    kinds, colors = {s.kind for s in subjects}, {s.color for s in subjects}
    one_color = plan.color_of(subjects[0]) if len(colors) == 1 and subjects else None
    words = [number]
    if one_color is not None:
        words.append(dice.word(lex.COLORS[one_color].en, 0.88))
        plan.said.add("color")
    elif plan.color and len(colors) > 2 and plan.facts.style not in ("pencil sketch", "film noir"):
        words.append(dice.pick(("colorful", "colourful")))
    if len(kinds) == 1 and dice.chance(0.8):
        words.append(_plural(dice.word(lex.KINDS[subjects[0].kind].en, 0.8)))
        plan.said.add("kind")
    else:
        words.append("objects")
    return " ".join(words)


def _row(plan: Plan, dice: Dice) -> tuple[str, bool]:
    """Dominoes, and whether they take a plural verb."""
    facts = plan.facts
    plan.said.add("kind")
    colors = [c for c in dict.fromkeys(plan.color_of(s) for s in facts.subjects) if c is not None]
    words = " and ".join(dice.word(lex.COLORS[c].en, 0.9) for c in colors)
    if colors:
        plan.said.add("color")
    number = _number(dice, facts.count) if plan.count and facts.count else ""
    if plan.count and facts.count:
        plan.said.add("count")
    noun = " ".join(w for w in (number, words, dice.word(lex.KINDS["dominoes"].en, 0.85)) if w)
    return (f"a {dice.pick(('row', 'line'))} of {noun}", False) if dice.chance(0.55) else (noun, True)


def _works(dice: Dice, works: tuple[str, ...]) -> str:
    """'an abstract, a landscape and a portrait'; for no works, 'framed paintings'."""
    names = [_a(dice.word(lex.WORKS[w].en, 0.6)) for w in works]
    if not names:
        return "framed paintings"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _pair(plan: Plan, dice: Dice) -> str:
    """Two subjects joined by 'and', or 'two balls, one red and one blue'."""
    a, b = plan.facts.subjects[:2]
    colors = plan.color_of(a), plan.color_of(b)
    if a.kind == b.kind and a.color != b.color and None not in colors and dice.chance(0.12):
        plan.said.update(("kind", "color"))
        name = _plural(dice.word(lex.KINDS[a.kind].en, 0.8))
        return f"two {name}, one {a.color} and one {b.color},"
    return f"{_noun(plan, dice, a)} and {_noun(plan, dice, b, main=False)}"


def _actor(plan: Plan, dice: Dice) -> tuple[str, bool]:
    """The subject of the sentence and whether it is plural."""
    facts = plan.facts
    event = facts.event
    if event == "waves":
        return dice.pick(("waves", "waves", "sea waves", "ocean waves")), True
    if event == "leaves":
        return dice.pick(("leaves", "leaves", "tree leaves", "many leaves")), True
    if event == "snowfall":
        return ("snowflakes", True) if dice.chance(0.3) else ("snow", False)
    if event == "gallery tour":
        return dice.pick(("the camera", "the camera", "a visitor", "the view")), False
    if event == "paintings":
        number = _number(dice, facts.count) + " " if plan.count and facts.count else ""
        name = dice.word(("framed painting", "painting", "framed picture", "artwork"), 0.5)
        return (_a(name), False) if facts.count == 1 else (number + _plural(name), True)
    if event == "pile":
        return _heap(plan, dice), True
    if event == "dominoes":
        return _row(plan, dice)
    return _noun(plan, dice, facts.subjects[0]), False


def _slots(plan: Plan, dice: Dice, phrase: str) -> str:
    """Fill {n}, {d}, {o}, {r}, {w} of a conjugated verb phrase from the facts."""
    if "{" not in phrase:
        return phrase
    facts = plan.facts
    n = d = o = r = w = ""
    if "{n}" in phrase and plan.count and facts.count:
        n = " " + (dice.pick(TIMES_OFTEN[facts.count]) if facts.count in TIMES_OFTEN else _number(dice, facts.count) + " times")
        plan.said.add("count")
    if "{d}" in phrase and plan.direction and facts.direction:
        side = facts.direction
        other = "left" if side == "right" else "right"
        d = " " + dice.pick((f"to the {side}", f"to the {side}", f"towards the {side}", f"from {other} to {side}", side))
        plan.said.add("direction")
    if "{o}" in phrase:
        o = _boxes(plan, dice) if facts.event == "tower" else _noun(plan, dice, facts.subjects[1], main=False)
    if "{r}" in phrase:
        r = f"{dice.word(lex.RELATIONS[facts.relation or 'left of'].en, 0.75)} {_noun(plan, dice, facts.subjects[1], main=False)}"
        plan.said.add("relation")
    if "{w}" in phrase:
        w = _works(dice, facts.works)
    return phrase.format(n=n, d=d, o=o, r=r, w=w)


def _clause(plan: Plan, dice: Dice) -> tuple[str, bool, Forms]:
    """Actor, whether plural, and the filled verb phrase in its three forms."""
    facts = plan.facts
    assert facts.outcome is not None  # a still has no clause
    say_event(plan)
    if facts.event in ("collide", "space collide"):
        if facts.outcome == "collide" and dice.chance(0.4):
            forms = dice.pick(ACT_FORMS)
            filled = _slots(plan, dice, "{o}")
            actor = _noun(plan, dice, facts.subjects[0])
            return actor, False, (forms[0].format(o=filled), forms[1].format(o=filled), forms[2].format(o=filled))
        return _pair(plan, dice), True, dice.pick(PHRASE_FORMS[facts.event, facts.outcome])
    actor, plural = _actor(plan, dice)
    forms = dice.pick(PHRASE_FORMS[facts.event, facts.outcome])
    if "{" not in forms[0]:
        return actor, plural, forms
    # One filling serves all three forms: only the verbs differ between them.
    marks = _slots(plan, dice, "\0".join(forms)).split("\0")
    return actor, plural, (marks[0], marks[1], marks[2])


def _place(plan: Plan, dice: Dice) -> str:
    """'in a desert', or '' when the setting is not to be said."""
    if not plan.setting:
        return ""
    plan.said.add("setting")
    if plan.facts.event == "bird" and plan.facts.setting == "sea":
        return dice.pick(("over the sea", "above the sea", "over the ocean", "at sea"))
    return _articled(dice, dice.pick(PLACES[plan.facts.setting]))


def _articled(dice: Dice, phrase: str) -> str:
    if "{a}" not in phrase:
        return phrase
    an = phrase[phrase.index("{a}") + 4] in "aeio"
    return phrase.replace("{a}", "the" if dice.chance(0.2) else "an" if an else "a")


def _when(plan: Plan, dice: Dice) -> str:
    """'at sunset', or '' when the time is not to be said."""
    if not plan.time or plan.facts.time is None:
        return ""
    plan.said.add("time")
    return dice.pick(TIME_PHRASES[plan.facts.time])


def _still(plan: Plan, dice: Dice) -> str:
    """What a single frame shows, without any motion."""
    facts = plan.facts
    event, subjects = facts.event, facts.subjects
    if event in ("collide", "space collide", "robot picks up", "robot pushes"):
        return _pair(plan, dice).rstrip(",")
    if event == "tower":
        return f"{_noun(plan, dice, subjects[0])} and {_boxes(plan, dice)}"
    if event == "relation":
        plan.said.update(("relation", "event"))
        return f"{_noun(plan, dice, subjects[0])} {_slots(plan, dice, '{r}')}"
    if event == "paintings":
        plan.said.add("event")
        return _actor(plan, dice)[0] + " on the wall"
    if event == "gallery tour":
        return _works(dice, facts.works) + dice.pick((" on the wall", " on a wall", ""))
    if event == "snowfall":
        return dice.pick(("snowflakes", "snowflakes in the air", "many snowflakes"))
    actor = _actor(plan, dice)[0]
    return actor + dice.pick(STILL_SCENERY[event]) if event in STILL_SCENERY else actor


def _join(*words: str) -> str:
    return " ".join(w for w in words if w)


def _core(plan: Plan, dice: Dice, opener: str) -> list[str]:
    """One or two sentences with actor, motion, place and time. `opener` ('a watercolor of') asks for a noun phrase."""
    where, when = _place(plan, dice), _when(plan, dice)
    if dice.chance(0.2):
        where, when = when, where  # time first
    if plan.still:
        scene = _still(plan, dice)
        if opener:
            return [_join(opener, scene, where, when)]
        form = dice.roll()
        if form < 0.15 and plan.length != "short":
            there = "there is" if scene.startswith(("a ", "an ")) else "there are"
            return [_join(there, scene, where, when)]
        if form < 0.35 and (where or when):
            return [f"{_join(where, when)}, {scene}"]
        return [_join(scene, where, when)]
    if plan.facts.event == "gallery tour" and plan.setting and dice.chance(0.4):
        say_event(plan)
        walk = dice.pick(("a tour through", "a walk through", "a tour of"))
        hall = _articled(dice, dice.pick(("{a} art gallery", "{a} gallery", "{a} museum")))
        return [_join(opener, walk, hall, "past", _works(dice, plan.facts.works))]
    actor, plural, forms = _clause(plan, dice)
    finite, participle = forms[1] if plural else forms[0], forms[2]
    form = dice.roll()
    if opener or form < 0.15:
        return [_join(opener, actor, participle, where, when)]
    if form < 0.27:
        return [_join(actor, "are" if plural else "is", participle, where, when)]
    if form < 0.47 and (where or when):
        return [f"{_join(where, when)}, {actor} {finite}"]
    if form < 0.55 and where and when:
        return [f"{when}, {actor} {finite} {where}"]
    if form < 0.60 and plan.facts.event not in SUBJECTLESS:
        return [_join("there are" if plural else "there is", actor, participle, where, when)]
    if form < 0.70 and plan.length == "full" and where:
        return [_join("the scene is", where, when), f"{actor} {finite}"]
    if form < 0.75 and where:
        return [f"{actor} {finite}, {_join(where, when)}"]
    return [_join(actor, finite, where, when)]


def _fallen(plan: Plan, dice: Dice) -> str:
    """', 3 of them fallen so far' for a row that has not fallen as a whole yet."""
    facts = plan.facts
    if facts.event != "dominoes" or facts.outcome != "topple" or not facts.fallen or not plan.count:
        return ""
    if facts.fallen == facts.count or dice.chance(0.4):
        return ""
    return f"{_number(dice, facts.fallen)} of them {'has' if facts.fallen == 1 else 'have'} fallen so far"


def _add_camera(sentences: list[str], plan: Plan, dice: Dice) -> None:
    """Say the camera's move before, in, or after the sentences."""
    move, _, side = plan.facts.camera.partition(" ")
    if move not in ("orbit", "truck"):
        move, side = plan.facts.camera, ""
    plan.said.add("camera")
    form = dice.roll()
    if form < 0.35:
        shot = dice.pick(SHOTS[move]).format(s=side)
        if form < 0.12 and ":" not in sentences[0]:
            sentences[0] = f"{shot}: {sentences[0]}"
        elif form < 0.24:
            sentences[-1] += ", " + shot
        else:
            sentences.append(shot)
        return
    finite, _, participle = (f.format(s=side) for f in dice.pick(CAMERA_FORMS[move]))
    if form < 0.60:
        sentences.append(f"the camera {finite}")
    elif form < 0.72:
        sentences[-1] += f", the camera {finite}"
    elif form < 0.84 and move != "static":
        sentences[-1] += f", the camera {participle}"
    elif form < 0.92 and move != "static":
        sentences[-1] += f", while the camera {finite}"
    else:
        sentences[-1] += f", as the camera {finite}" if move != "static" else f", and the camera {finite}"


def _finish(sentences: list[str], dice: Dice) -> str:
    """Join the sentences, as prose (capitals, full stops) or as a prompt is typed (lower case, commas)."""
    if dice.chance(0.3):
        return ", ".join(sentences)
    text = ". ".join(s[0].upper() + s[1:] for s in sentences)
    return text + "." if dice.chance(0.85) else text


def _style_of(plan: Plan, dice: Dice) -> str:
    """'a watercolor of'; for a single frame nothing that speaks of moving pictures."""
    plan.said.add("style")
    return dice.pick((STILL_STYLE_OF if plan.still else STYLE_OF)[plan.facts.style])


def _style_in(plan: Plan, dice: Dice) -> str:
    """'in watercolor style'."""
    plan.said.add("style")
    if plan.still and plan.facts.style == "photo":
        return dice.pick(("photorealistic", "realistic photo"))
    return dice.pick(STYLE_IN[plan.facts.style])


def _sentence(plan: Plan, dice: Dice) -> str:
    """Medium and full captions."""
    opener = _style_of(plan, dice) if plan.style and dice.chance(0.4) else ""
    sentences = _core(plan, dice, opener)
    fallen = _fallen(plan, dice)
    if fallen:
        sentences.append(fallen)
    last = ""
    if plan.style and not opener:
        manner = _style_in(plan, dice)
        form = dice.roll()
        if form < 0.35:
            sentences[0] = f"{manner}{',' if form < 0.2 else ':'} {sentences[0]}"
        elif form < 0.75:
            sentences[-1] += ", " + manner
        else:
            last = manner
    if plan.camera:
        _add_camera(sentences, plan, dice)
    if last:
        sentences.append(last)
    return _finish(sentences, dice)


def _short(plan: Plan, dice: Dice) -> str:
    """A few words: the subject, perhaps what it does, perhaps where, when, or in which style."""
    facts = plan.facts
    where, when = _place(plan, dice), _when(plan, dice)
    opener = _style_of(plan, dice) if plan.style and dice.chance(0.5) else ""
    if plan.still:
        text = _still(plan, dice)
    elif plan.event:
        actor, plural, forms = _clause(plan, dice)
        text = f"{actor} {forms[2] if opener or dice.chance(0.45) else forms[plural]}"
    elif facts.event == "gallery tour":
        text = _works(dice, facts.works)
    else:
        text = _actor(plan, dice)[0]
    text = _join(opener, text, where, when)
    if text.startswith(("a ", "an ")) and dice.chance(0.35):
        text = text.split(" ", 1)[1]
    if plan.style and not opener:
        text += ", " + _style_in(plan, dice)
    sentences = [text]
    if plan.camera:
        _add_camera(sentences, plan, dice)
    text = ", ".join(sentences)
    return text[0].upper() + text[1:] + dice.pick((".", "")) if dice.chance(0.25) else text


def _word(facts: Facts, dice: Dice) -> Caption:
    """One word of what is there (or, in a clip, what happens)."""
    options: list[tuple[str, str]] = [(dice.word(SETTING_WORD[facts.setting]), "setting")]
    if facts.subjects and facts.event not in ("pile", "tower"):
        options += [(lex.KINDS[facts.subjects[0].kind].en[0], "kind")] * 2
    if facts.time is not None:
        options.append(({"foggy morning": "fog"}.get(facts.time, facts.time), "time"))
    if (facts.event, facts.outcome) in ONE_WORD:
        options += [(dice.pick(ONE_WORD[facts.event, facts.outcome]), "word")] * 2
    if facts.style not in ("photo", "cyberpunk"):
        options.append(({"pencil sketch": "sketch", "oil painting": "oil", "pixel art": "pixelated", "film noir": "noir"}.get(
            facts.style, facts.style), "style"))  # fmt: skip
    text, kind = dice.pick(options)
    said = frozenset((kind,)) if " " not in text and kind != "word" else frozenset[str]()
    return Caption(text.split(" ")[-1], said)


def write(facts: Facts, dice: Dice, length: Length) -> Caption:
    """An English caption of `length` of `facts`."""
    if length == "word":
        return _word(facts, dice)
    plan = make_plan(facts, dice, length)
    text = _short(plan, dice) if length == "short" else _sentence(plan, dice)
    return Caption(text, frozenset(plan.said))
