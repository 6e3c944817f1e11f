"""English noun phrases: subjects, stacks, heaps, rows, works of art."""

from __future__ import annotations

from haneul.world import lexicon as lex
from haneul.world.phrases_en import NUMBERS, PLURALS
from haneul.world.scene import Subject
from haneul.world.wording import COLORLESS_STYLES, Dice, Plan


def a(noun: str) -> str:
    return ("an " if noun[0] in "aeioAEIO" or noun.startswith(("umbrella", "8-bit")) else "a ") + noun


def plural(noun: str) -> str:
    return PLURALS.get(noun) or noun + "s"


def spell_number(dice: Dice, n: int) -> str:
    return NUMBERS[n] if n < len(NUMBERS) and dice.chance(0.6) else str(n)


def adjectives_of(plan: Plan, dice: Dice, subject: Subject, main: bool) -> str:
    """'red rubber ' with a trailing space, or ''."""
    words = ""
    color = plan.color_of(subject)
    if color is not None:
        words = dice.word(lex.COLORS[color].en, 0.88) + " "
        plan.said.add("color" if main else "color2")
    if plan.material and subject.material is not None:
        words += dice.word(lex.MATERIALS[subject.material].en, 0.8) + " "
        plan.said.add("material" if main else "material2")
    return words


def noun_of(plan: Plan, dice: Dice, subject: Subject, *, main: bool = True, article: bool = True) -> str:
    """A noun phrase for one subject: 'a red rubber ball', 'a red ball made of rubber', 'red ball'."""
    name = dice.word(lex.KINDS[subject.kind].en, 0.8)
    plan.said.add("kind" if main else "kind2")
    if plan.material and subject.material in ("rubber", "plastic", "wood", "metal", "marble") and dice.chance(0.06):
        plan.material = False
        noun = adjectives_of(plan, dice, subject, main) + name + " made of " + subject.material
        plan.material = True
        plan.said.add("material" if main else "material2")
    else:
        noun = adjectives_of(plan, dice, subject, main) + name
    return a(noun) if article else noun


def boxes_of(plan: Plan, dice: Dice) -> str:
    """The tower's stack: 'a stack of 4 blue wooden boxes'."""
    stack = plan.facts.subjects[1]
    adjectives = adjectives_of(plan, dice, stack, False)
    number = spell_number(dice, plan.facts.count) + " " if plan.count and plan.facts.count else ""
    plan.said.update(("kind2", "count") if number else ("kind2",))
    boxes = dice.word(("boxes", "cubes", "crates"), 0.8)
    if plan.still:
        return f"{number or 'some '}{adjectives}{boxes}"
    return f"a {dice.word(('stack', 'tower'), 0.7)} of {number}{adjectives}{boxes}"


def heap(plan: Plan, dice: Dice) -> str:
    """The objects of a pile: by their common colour and kind where they have one."""
    subjects, count = plan.facts.subjects, plan.facts.count
    number = spell_number(dice, count) if plan.count and count else dice.pick(("several", "some"))
    if plan.count and count:
        plan.said.add("count")
    kinds, colors = {s.kind for s in subjects}, {s.color for s in subjects}
    one_color = plan.color_of(subjects[0]) if len(colors) == 1 and subjects else None
    words = [number]
    if one_color is not None:
        words.append(dice.word(lex.COLORS[one_color].en, 0.88))
        plan.said.add("color")
    elif plan.color and len(colors) > 2 and plan.facts.style not in COLORLESS_STYLES:
        words.append(dice.pick(("colorful", "colourful")))
    if len(kinds) == 1 and dice.chance(0.8):
        words.append(plural(dice.word(lex.KINDS[subjects[0].kind].en, 0.8)))
        plan.said.add("kind")
    else:
        words.append("objects")
    return " ".join(words)


def row(plan: Plan, dice: Dice) -> tuple[str, bool]:
    """Dominoes, and whether they take a plural verb."""
    facts = plan.facts
    plan.said.add("kind")
    seen = list(dict.fromkeys(plan.color_of(s) for s in facts.subjects))
    colors = [] if None in seen else [c for c in seen if c is not None]
    words = " and ".join(dice.word(lex.COLORS[c].en, 0.9) for c in colors)
    if colors:
        plan.said.add("color")
    number = spell_number(dice, facts.count) if plan.count and facts.count else ""
    if plan.count and facts.count:
        plan.said.add("count")
    material = ""
    if plan.material and facts.subjects and facts.subjects[0].material:
        material = dice.word(lex.MATERIALS[facts.subjects[0].material].en, 0.8)
        plan.said.add("material")
    noun = " ".join(w for w in (number, words, material, dice.word(lex.KINDS["dominoes"].en, 0.85)) if w)
    return (f"a {dice.pick(('row', 'line'))} of {noun}", False) if dice.chance(0.55) else (noun, True)


def works_of(plan: Plan, dice: Dice) -> str:
    """'an abstract, a landscape and a portrait'; for no works, 'framed paintings'."""
    works = plan.facts.works
    plan.said.add("works")
    names = [a(dice.word(lex.WORKS[w].en, 0.6)) for w in works[: 3 if len(works) > 4 else 4]]
    if not names:
        return "framed paintings"
    if len(works) > 4:
        return ", ".join(names) + " and other works"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def pair_of(plan: Plan, dice: Dice) -> str:
    """Two subjects joined by 'and', or 'two balls, one red and one blue'."""
    a, b = plan.facts.subjects[:2]
    colors = plan.color_of(a), plan.color_of(b)
    if a.kind == b.kind and a.color != b.color and None not in colors and dice.chance(0.12):
        plan.said.update(("kind", "color", "kind2", "color2"))
        name = plural(dice.word(lex.KINDS[a.kind].en, 0.8))
        return f"two {name}, one {a.color} and one {b.color},"
    return f"{noun_of(plan, dice, a)} and {noun_of(plan, dice, b, main=False)}"


def actor_of(plan: Plan, dice: Dice) -> tuple[str, bool]:
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
        return "the camera", False
    if event == "paintings":
        if facts.works and dice.chance(0.3):
            return works_of(plan, dice), len(facts.works) > 1
        number = spell_number(dice, facts.count) + " " if plan.count and facts.count else ""
        if number:
            plan.said.add("count")
        name = dice.word(("framed painting", "painting", "framed picture", "artwork"), 0.5)
        return (a(name), False) if facts.count == 1 else (number + plural(name), True)
    if event == "pile":
        return heap(plan, dice), True
    if event == "dominoes":
        return row(plan, dice)
    return noun_of(plan, dice, facts.subjects[0]), False
