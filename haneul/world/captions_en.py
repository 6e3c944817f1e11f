"""English captions. `write` is the door; the phrase tables are in `phrases_en`."""

from __future__ import annotations

from haneul.world import lexicon as lex
from haneul.world.nouns_en import actor_of, boxes_of, noun_of, pair_of, spell_number, works_of
from haneul.world.phrases_en import (
    ACT_FORMS,
    BOTH_ROLL_FORMS,
    CAMERA_FORMS,
    ONE_WORD,
    PHRASE_FORMS,
    PLACES,
    REST_FORMS,
    SETTING_WORD,
    SHOTS,
    STILL_SCENERY,
    STILL_STYLE_OF,
    STYLE_IN,
    STYLE_OF,
    TIME_PHRASES,
    TIMES_OFTEN,
    TURN_FORMS,
    TURNS,
    Forms,
)  # fmt: skip
from haneul.world.scene import Facts
from haneul.world.wording import SUBJECTLESS, Caption, Dice, Length, Plan, make_plan, say_event


def _slots(plan: Plan, dice: Dice, phrase: str) -> str:
    """Fill {n}, {d}, {o}, {r}, {w} of a conjugated verb phrase from the facts."""
    if "{" not in phrase:
        return phrase
    facts = plan.facts
    n = d = o = r = w = ""
    if "{n}" in phrase and plan.count and facts.count:
        n = " " + (
            dice.pick(TIMES_OFTEN[facts.count])
            if facts.count in TIMES_OFTEN
            else spell_number(dice, facts.count) + " times"
        )
        plan.said.add("count")
    if "{d}" in phrase and plan.direction and facts.direction:
        side = facts.direction
        other = "left" if side == "right" else "right"
        d = " " + dice.pick(
            (f"to the {side}", f"to the {side}", f"towards the {side}", f"from {other} to {side}", side)
        )
        plan.said.add("direction")
    if "{o}" in phrase:
        o = boxes_of(plan, dice) if facts.event == "tower" else noun_of(plan, dice, facts.subjects[1], main=False)
    if "{r}" in phrase:
        r = dice.word(lex.RELATIONS[facts.relation or "left of"].en, 0.75)
        r += " " + noun_of(plan, dice, facts.subjects[1], main=False)
        plan.said.add("relation")
    if "{w}" in phrase:
        w = works_of(plan, dice)
    return phrase.format(n=n, d=d, o=o, r=r, w=w)


def _clause(plan: Plan, dice: Dice) -> tuple[str, bool, Forms]:
    """Actor, whether plural, and the filled verb phrase in its three forms."""
    facts = plan.facts
    assert facts.outcome is not None  # a still has no clause
    say_event(plan)
    if facts.event in ("collide", "space collide"):
        roll = facts.event == "collide" and plan.both_roll
        if dice.chance(1.0 if facts.outcome == "approach" and not roll and facts.event == "collide" else 0.35):
            forms = dice.pick(ACT_FORMS[facts.outcome])
            filled = _slots(plan, dice, "{o}")
            actor = noun_of(plan, dice, facts.subjects[0])
            return actor, False, (forms[0].format(o=filled), forms[1].format(o=filled), forms[2].format(o=filled))
        forms = dice.pick(
            BOTH_ROLL_FORMS[facts.outcome] if roll and dice.chance(0.6) else PHRASE_FORMS[facts.event, facts.outcome]
        )
        return pair_of(plan, dice), True, forms
    if facts.event == "relation" and facts.relation is None:
        return pair_of(plan, dice), True, dice.pick(REST_FORMS)
    actor, plural = actor_of(plan, dice)
    if plan.turns:
        return actor, plural, _turns(plan, dice)
    forms = dice.pick(PHRASE_FORMS[facts.event, facts.outcome])
    if "{" not in forms[0]:
        return actor, plural, forms
    # One filling serves all three forms: only the verbs differ between them.
    marks = _slots(plan, dice, "\0".join(forms)).split("\0")
    return actor, plural, (marks[0], marks[1], marks[2])


def _turns(plan: Plan, dice: Dice) -> Forms:
    """'turns left, then right'."""
    plan.said.add("turns")
    turns = plan.facts.turns
    first, other = turns[0], "right" if turns[0] == "left" else "left"
    one, many, going = dice.pick(TURN_FORMS[plan.facts.event, min(len(turns), len(TURNS))])
    return one.format(a=first, b=other), many.format(a=first, b=other), going.format(a=first, b=other)


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
    if event in ("collide", "space collide", "robot picks up", "robot pushes") or (
        event == "relation" and facts.relation is None
    ):
        return pair_of(plan, dice).rstrip(",")
    if event == "tower":
        return f"{noun_of(plan, dice, subjects[0])} and {boxes_of(plan, dice)}"
    if event == "relation":
        plan.said.update(("relation", "event"))
        return f"{noun_of(plan, dice, subjects[0])} {_slots(plan, dice, '{r}')}"
    if event == "paintings":
        plan.said.add("event")
        return actor_of(plan, dice)[0] + " on the wall"
    if event == "gallery tour":
        return works_of(plan, dice) + dice.pick((" on the wall", " on a wall", ""))
    if event == "snowfall":
        return dice.pick(("snowflakes", "snowflakes in the air", "many snowflakes"))
    actor = actor_of(plan, dice)[0]
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
        return [_join(opener, walk, hall, "past", works_of(plan, dice))]
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
    return f"{spell_number(dice, facts.fallen)} of them {'has' if facts.fallen == 1 else 'have'} fallen so far"


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
    return dice.pick(
        (STILL_STYLE_OF if plan.frame or (plan.still and plan.facts.style != "photo") else STYLE_OF)[plan.facts.style]
    )


def _style_in(plan: Plan, dice: Dice) -> str:
    """'in watercolor style'."""
    plan.said.add("style")
    if plan.frame and plan.facts.style == "photo":
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
        text = works_of(plan, dice)
    else:
        text = actor_of(plan, dice)[0]
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
        options += [(dice.pick(ONE_WORD[facts.event, str(facts.outcome)]), "word")] * 2
    if facts.style not in ("photo", "cyberpunk"):
        words = {"pencil sketch": "sketch", "oil painting": "oil", "pixel art": "pixelated", "film noir": "noir"}
        options.append((words.get(facts.style, facts.style), "style"))
    text, kind = dice.pick(options)
    if kind == "word":
        return Caption(text, frozenset(("event", "outcome")))
    return Caption(text.split(" ")[-1], frozenset((kind,)) if " " not in text else frozenset[str]())


def write(facts: Facts, dice: Dice, length: Length) -> Caption:
    """An English caption of `length` of `facts`."""
    if length == "word":
        return _word(facts, dice)
    plan = make_plan(facts, dice, length)
    text = _short(plan, dice) if length == "short" else _sentence(plan, dice)
    return Caption(text, frozenset(plan.said))
