"""Korean captions. `write` is the door; the phrase tables are in `phrases_ko`, word forms in `korean`."""

from __future__ import annotations

from typing import Final

from haneul.world import lexicon as lex
from haneul.world.korean import conjugate, josa, to_mixed_script
from haneul.world.phrases_ko import (
    ACTS_ON,
    BOTH_ROLL,
    CAMERA,
    GOING,
    NATIVE_NUMBERS,
    ONE_WORD,
    PHRASES,
    SHOTS,
    SIDES,
    STILL_SCENERY,
    STYLE_TAG,
    STYLE_WORK,
    TIME_PHRASES,
    TURNS,
)  # fmt: skip
from haneul.world.scene import Facts, Subject
from haneul.world.wording import Caption, Dice, Length, Plan, make_plan, say_event

#: Speech styles of a whole caption with their shares: 튄다, 튀고 있다, 튀는 중이다, 튑니다.
_REGISTERS: Final = (("plain", 0.62), ("progressive", 0.86), ("ongoing", 0.92), ("polite", 1.0))


class _Writer:
    """Writes one caption: the plan, the dice, and whether Sino-Korean words are preferred (for mixed script)."""

    __slots__ = ("dice", "facts", "hanja", "plan", "register")

    def __init__(self, plan: Plan, dice: Dice, hanja: bool) -> None:
        self.plan, self.dice, self.facts, self.hanja = plan, dice, plan.facts, hanja
        u = dice.roll()
        self.register = next(name for name, edge in _REGISTERS if u < edge)

    def color(self, name: str) -> str:
        if self.hanja and self.dice.chance(0.75):
            return lex.SINO_COLORS[name]
        return self.dice.word(lex.COLORS[name].ko, 0.6)

    def number(self, n: int, unit: str) -> str:
        """'4개', '네 개'."""
        if n < len(NATIVE_NUMBERS) and self.dice.chance(0.4):
            return f"{NATIVE_NUMBERS[n]} {unit}"
        return f"{n}{unit}"

    def noun(self, subject: Subject, *, main: bool = True) -> str:
        """'빨간 고무 공'."""
        plan, dice = self.plan, self.dice
        words = []
        color = plan.color_of(subject)
        if color is not None:
            words.append(self.color(color))
        if plan.material and subject.material is not None:
            made_of = dice.word(lex.MATERIALS[subject.material].ko, 0.8)
            if subject.material in ("wood", "metal", "rubber", "marble", "plastic") and dice.chance(0.08):
                made_of = josa(made_of, "으로") + " 된"
            words.append(made_of)
        which = "" if main else "2"
        plan.said.add("kind" + which)
        for name, value in (("color", color), ("material", plan.material and subject.material)):
            if value:
                plan.said.add(name + which)
        words.append(dice.word(lex.KINDS[subject.kind].ko, 0.75))
        return " ".join(words)

    def boxes(self) -> str:
        """The tower's stack: '파란 나무 상자 4개를 쌓은 탑'."""
        plan, dice, stack = self.plan, self.dice, self.facts.subjects[1]
        color = plan.color_of(stack)
        words = [self.color(color)] if color else []
        if plan.material and stack.material:
            words.append(dice.word(lex.MATERIALS[stack.material].ko, 0.8))
        words.append("상자")
        noun = " ".join(words)
        number = self.number(self.facts.count, "개") if plan.count and self.facts.count else ""
        for name, value in (("kind2", True), ("color2", color), ("count", number)):
            if value:
                plan.said.add(name)
        if plan.material and stack.material:
            plan.said.add("material2")
        if plan.still:
            return f"{noun} {number}" if number else f"{noun}들"
        if number:
            noun += " " + number
            return dice.pick((f"{noun} 더미", f"{josa(noun, '을')} 쌓은 탑", f"{josa(noun, '으로')} 쌓은 탑"))
        return dice.pick((f"{noun} 더미", f"{noun} 탑", f"{josa(noun, '을')} 쌓은 탑"))

    def crowd(self) -> str:
        """A pile's objects or a row of dominoes."""
        facts, plan, dice = self.facts, self.plan, self.dice
        kinds = {s.kind for s in facts.subjects}
        colors = list(dict.fromkeys(plan.color_of(s) for s in facts.subjects))
        words = []
        if facts.event == "dominoes":
            named = [] if None in colors else [c for c in colors if c is not None]
            if len(named) == 2:
                first, second = (
                    lex.COLORS[c].ko[2] if lex.COLORS[c].ko[2].endswith("색") else lex.SINO_COLORS[c] for c in named
                )
                words.append(f"{josa(first, '과')} {second}")
            elif named:
                words.append(self.color(named[0]))
            plan.said.update(("kind", "color") if named else ("kind",))
            if plan.material and facts.subjects[0].material:
                words.append(dice.word(lex.MATERIALS[facts.subjects[0].material].ko, 0.8))
                plan.said.add("material")
            words.append(dice.word(lex.KINDS["dominoes"].ko, 0.85))
        else:
            if len(colors) == 1 and colors[0] is not None:
                words.append(self.color(colors[0]))
                plan.said.add("color")
            elif len(colors) > 2 and plan.color:
                words.append(dice.pick(("알록달록한", "여러 색의", "형형색색의")))
            if len(kinds) == 1 and dice.chance(0.8):
                words.append(dice.word(lex.KINDS[facts.subjects[0].kind].ko, 0.75))
                plan.said.add("kind")
            else:
                words.append("물체")
        noun = " ".join(words)
        if plan.count and facts.count:
            plan.said.add("count")
            if facts.count < len(NATIVE_NUMBERS) and dice.chance(0.2):
                return f"{NATIVE_NUMBERS[facts.count]} 개의 {noun}"
            return f"{noun} {self.number(facts.count, '개')}"
        return noun if facts.event == "dominoes" else noun + "들"

    def works(self) -> str:
        """'추상화와 풍경화, 초상화'."""
        works = self.facts.works
        self.plan.said.add("works")
        names = [self.dice.word(lex.WORKS[w].ko, 0.6) for w in works[: 3 if len(works) > 4 else 4]] or ["그림"]
        if len(works) > 4:
            return ", ".join(names) + " 등 여러 작품"
        if len(names) == 1:
            return names[0]
        if self.dice.chance(0.5):
            return ", ".join(names)
        return ", ".join([*(n for n in names[:-2]), f"{josa(names[-2], '과')} {names[-1]}"])

    def actor(self) -> str:
        facts, dice, plan = self.facts, self.dice, self.plan
        event = facts.event
        if event == "waves":
            return dice.pick(("파도", "파도", "물결"))
        if event == "leaves":
            return dice.pick(("나뭇잎", "나뭇잎들", "낙엽", "잎"))
        if event == "snowfall":
            return dice.pick(("눈", "눈", "눈송이"))
        if event == "gallery tour":
            return "카메라"
        if event == "paintings":
            if facts.works and dice.chance(0.3):
                return self.works()
            name = dice.pick(("그림", "액자 그림", "액자에 든 그림", "작품"))
            if plan.count and facts.count:
                plan.said.add("count")
                return f"{name} {self.number(facts.count, dice.pick(('점', '개')))}"
            return name
        if event in ("pile", "dominoes"):
            return self.crowd()
        return self.noun(facts.subjects[0])

    def pair(self) -> str:
        a, b = self.facts.subjects[:2]
        return f"{josa(self.noun(a), '과')} {self.noun(b, main=False)}"

    def verb_phrase(self, phrase: str) -> str:
        """Fill a phrase's slots; it still ends in a stem."""
        if "{" not in phrase:
            return phrase
        facts, plan, dice = self.facts, self.plan, self.dice
        slots = dict.fromkeys(("n", "d", "r", "w", "o", "ul", "wa", "ro"), "")
        if "{n}" in phrase and plan.count and facts.count:
            plan.said.add("count")
            slots["n"] = self.number(facts.count, "번").replace("1번", "한 번") + " "
        if "{d}" in phrase and plan.direction and facts.direction:
            plan.said.add("direction")
            slots["d"] = self.direction(facts.direction) + " "
        if "{w}" in phrase:
            slots["w"] = self.works()
        if "{r}" in phrase:
            plan.said.add("relation")
            place = dice.word(lex.RELATIONS[facts.relation or "left of"].ko, 0.7)
            slots["r"] = f"{self.noun(facts.subjects[1], main=False)}{dice.word((' ', '의 '), 0.8)}{place}"
        elif len(facts.subjects) > 1 and any(f"{{{slot}}}" in phrase for slot in ("o", "ul", "wa", "ro")):
            other = self.boxes() if facts.event == "tower" else self.noun(facts.subjects[1], main=False)
            slots.update(o=other, ul=josa(other, "을"), wa=josa(other, "과"), ro=josa(other, "으로"))
        return phrase.format_map(slots)

    def direction(self, side: str) -> str:
        u = self.dice.roll()
        if u < 0.2:
            return "왼쪽에서 오른쪽으로" if side == "right" else "오른쪽에서 왼쪽으로"
        return ("화면 " if u < 0.35 else "") + self.dice.pick(SIDES[side])

    def clause(self) -> tuple[str, str]:
        """Actor and verb phrase (ending in a stem)."""
        facts, dice = self.facts, self.dice
        assert facts.outcome is not None  # a still has no clause
        say_event(self.plan)
        if facts.event in ("collide", "space collide"):
            roll = facts.event == "collide" and self.plan.both_roll
            if dice.chance(1.0 if facts.outcome == "approach" and not roll and facts.event == "collide" else 0.35):
                return self.noun(facts.subjects[0]), self.verb_phrase(dice.pick(ACTS_ON[facts.outcome]))
            phrases = BOTH_ROLL[facts.outcome] if roll and dice.chance(0.6) else PHRASES[facts.event, facts.outcome]
            return self.pair(), dice.pick(phrases)
        if facts.event == "relation" and facts.relation is None:
            return self.pair(), dice.pick(("놓여 있", "바닥에 놓여 있"))
        if self.plan.turns:
            return self.actor(), self.turns()
        return self.actor(), self.verb_phrase(dice.pick(PHRASES[facts.event, facts.outcome]))

    def turns(self) -> str:
        """'왼쪽으로 꺾었다가 오른쪽으로 꺾', as its subject sees it."""
        turns, dice = self.facts.turns, self.dice
        self.plan.said.add("turns")
        plain = self.facts.event == "car"
        phrases = [p for p in TURNS[min(len(turns), len(TURNS)) - 1] if plain or "{go}" in p]
        sides = ("left", "right") if turns[0] == "left" else ("right", "left")
        a, b = (dice.pick(SIDES[side]) for side in sides)
        return dice.pick(phrases).format(a=a, b=b, go=GOING[self.facts.event])

    def place(self, noun_follows: bool) -> tuple[str, str]:
        """Time and place: (their words as an adverb without the place's particle, time as an adverb apart)."""
        plan, dice, facts = self.plan, self.dice, self.facts
        where = ""
        if plan.setting:
            plan.said.add("setting")
            where = dice.word(lex.SETTINGS[facts.setting].ko, 0.6)
            if facts.setting == "sea" and (
                facts.event == "bird" or (facts.event not in ("fish", "float") and dice.chance(0.3))
            ):
                where = "바다 위"
            elif dice.chance(0.15) and facts.setting in ("desert", "snowy field", "tiled plaza"):
                where += " 위"
            elif dice.chance(0.15) and facts.setting in ("art gallery", "outer space"):
                where += " 안"
        if not plan.time or facts.time is None:
            return where, ""
        plan.said.add("time")
        before_noun, adverb = TIME_PHRASES[facts.time]
        if where and (noun_follows or dice.chance(0.6)):
            return f"{dice.pick(before_noun)} {where}", ""
        return where, dice.pick(before_noun) if noun_follows else dice.pick(adverb)

    def camera(self) -> tuple[str, str]:
        """A camera sentence's stem and a tag of the same move."""
        move, _, side = self.facts.camera.partition(" ")
        if move not in ("orbit", "truck"):
            move, side = self.facts.camera, ""
        self.plan.said.add("camera")
        where = self.dice.pick(SIDES[side]) if side else ""
        return self.dice.pick(CAMERA[move]).format(s=where), self.dice.pick(SHOTS[move]).format(s=where)

    def still(self) -> str:
        """A noun phrase of what a single frame shows."""
        facts, plan, dice = self.facts, self.plan, self.dice
        event, subjects = facts.event, facts.subjects
        if event in ("collide", "space collide", "robot picks up", "robot pushes") or (
            event == "relation" and facts.relation is None
        ):
            return self.pair()
        if event == "tower":
            return f"{josa(self.noun(subjects[0]), '과')} {self.boxes()}"
        if event == "relation":
            plan.said.add("event")
            return f"{self.verb_phrase('{r}')} 있는 {self.noun(subjects[0])}"
        if event == "paintings":
            plan.said.add("event")
            return "벽에 걸린 " + self.actor()
        if event == "gallery tour":
            return dice.pick(("벽에 걸린 ", "")) + self.works()
        if event == "snowfall":
            return "눈송이"
        actor = self.actor()
        if event in STILL_SCENERY:
            return f"{josa(dice.pick(STILL_SCENERY[event]), '과')} {actor}"
        return actor


def _join(*words: str) -> str:
    return " ".join(w for w in words if w)


def _still(w: _Writer) -> str:
    """One sentence or noun phrase of a single frame."""
    scene = w.still()
    where, when = w.place(noun_follows=True)
    dice = w.dice
    if w.plan.style and dice.chance(0.4):
        w.plan.said.add("style")
        work = {
            "photo": "사진" if w.plan.frame else "실사 영상",
            "cyberpunk": "사이버펑크풍 그림",
            "film noir": "흑백 누아르 사진",
        }.get(w.facts.style) or STYLE_WORK[w.facts.style][0]
        what = _join(when, where and where + "의", scene)
        return dice.pick((f"{what} 사진", f"{what}, 사진")) if work == "사진" else _made(what, work, dice)
    if where and dice.chance(0.35):
        text = _join(
            when, f"{where}에", josa(scene, "이"), conjugate("있", "polite" if w.register == "polite" else "plain")
        )
    elif where and dice.chance(0.4):
        text = _join(when, f"{where}에 있는", scene)
    elif where and dice.chance(0.3):
        text = f"{_join(when, where)}, {scene}"
    else:
        text = _join(when, where and where + "의", scene)
    if w.plan.style:
        w.plan.said.add("style")
        tag = "사진" if w.facts.style == "photo" and w.plan.frame else dice.pick(STYLE_TAG[w.facts.style])
        return f"{tag}, {text}" if dice.chance(0.4) else f"{text}, {tag}"
    return text


def _made(what: str, work: str, dice: Dice) -> str:
    """'…을 그린 수채화', '…을 담은 영상'."""
    verb = "담은" if work.endswith(("영상", "영화", "장면")) else "그린"
    return dice.pick((f"{josa(what, '을')} {verb} {work}", f"{what}, {work}", f"{work}: {what}"))


def _moving(w: _Writer) -> list[str]:
    """Sentences of a clip without its camera."""
    dice, plan, facts = w.dice, w.plan, w.facts
    form = dice.roll()
    noun_end = form < 0.22 and facts.event != "gallery tour"
    tag = work = ""
    apart = form >= 0.9 and plan.length == "full"  # where and when in a sentence of their own
    if plan.style:
        plan.said.add("style")
        if dice.chance(0.4) and not apart:
            work = dice.pick(STYLE_WORK[facts.style])
        else:
            tag = dice.pick(STYLE_TAG[facts.style])
    where, when = w.place(noun_follows=apart)
    actor, phrase = w.clause()
    if apart:
        verb = conjugate(phrase, w.register)
        return [*((tag,) if tag else ()), _join(when, where), _join(josa(actor, "이"), verb)]
    if where:
        where += "에" if phrase.endswith("있") and "에 " not in phrase else "에서"
    setting_first = _join(when, where) if dice.chance(0.7) else _join(where, when)
    if noun_end:
        ending = "noun" if dice.chance(0.75) else "progressive noun"
        text = _join(setting_first, conjugate(phrase, ending), actor)
    elif work or (0.22 <= form < 0.32):
        text = _join(setting_first, josa(actor, "이"), conjugate(phrase, "noun"), dice.pick(("모습", "장면")))
    else:
        subject = josa(actor, "은") if dice.chance(0.08) else josa(actor, "이")
        verb = conjugate(phrase, w.register)
        if form < 0.55 and facts.event != "gallery tour":
            text = _join(subject, setting_first, verb)
        else:
            text = _join(setting_first, subject, verb)
    if work:
        return [_made(text, work, dice)]
    if not tag:
        return [text]
    place = dice.roll()
    if place < 0.25:
        return [f"{tag}, {text}"]
    if place < 0.35:
        return [f"{tag}: {text}"]
    return [text + ", " + tag] if place < 0.65 else [text, tag]


def _sentence(w: _Writer) -> str:
    plan, dice = w.plan, w.dice
    sentences = [_still(w)] if plan.still else _moving(w)
    facts = w.facts
    if facts.outcome == "topple" and facts.fallen and plan.count and facts.fallen != facts.count and dice.chance(0.5):
        sentences.append(f"지금까지 {w.number(facts.fallen, '개')}가 쓰러졌다")
    if plan.camera:
        stem, shot = w.camera()
        form = dice.roll()
        if form < 0.5:
            sentences.append(conjugate(stem, "plain" if w.register == "ongoing" else w.register))
        elif form < 0.62 and ":" not in sentences[0]:
            sentences[0] = f"{shot}: {sentences[0]}"
        elif form < 0.75:
            sentences.append(shot)
        elif form < 0.88:
            sentences[-1] += ", " + shot
        else:
            sentences[0] = (
                f"{conjugate(stem, 'and')}, {sentences[0]}"
                if dice.chance(0.5)
                else f"{conjugate(stem, 'noun')} 가운데, {sentences[0]}"
            )
    if dice.chance(0.2):
        return ", ".join(sentences)
    return ". ".join(sentences) + ("." if dice.chance(0.8) else "")


def _short(w: _Writer) -> str:
    plan, dice, facts = w.plan, w.dice, w.facts
    if plan.still:
        return _still(w)
    if plan.event:
        sentences = _moving(w)
        return ". ".join(sentences) if len(sentences) > 1 else sentences[0] + dice.word(("", "."), 0.8)
    where, when = w.place(noun_follows=True)
    actor = w.works() if facts.event == "gallery tour" else w.actor()
    text = _join(when, where and where + "의", actor)
    if plan.style:
        plan.said.add("style")
        tag = dice.pick(STYLE_TAG[facts.style])
        return f"{tag}, {text}" if dice.chance(0.3) else f"{text}, {tag}"
    return text


def _word(facts: Facts, dice: Dice) -> Caption:
    """One word of what is there (or, in a clip, what happens)."""
    setting = {
        "neon street": "거리",
        "snowy field": "눈밭",
        "tiled plaza": "광장",
        "brick courtyard": "마당",
        "cyberpunk city": "도시",
    }
    options: list[tuple[str, str]] = [
        (setting.get(facts.setting) or dice.word(lex.SETTINGS[facts.setting].ko[:1]), "setting")
    ]
    if facts.subjects and facts.event not in ("pile", "tower", "quadruped"):
        options += [(lex.KINDS[facts.subjects[0].kind].ko[0], "kind")] * 2
    if facts.time is not None:
        options.append(({"noon": "한낮", "sunset": "노을", "night": "밤"}.get(facts.time, "안개"), "time"))
    if (facts.event, facts.outcome) in ONE_WORD:
        options.append((dice.pick(ONE_WORD[facts.event, str(facts.outcome)]), "word"))
    if facts.style in ("watercolor", "oil painting", "cartoon", "pencil sketch"):
        options.append(({"pencil sketch": "스케치"}.get(facts.style) or lex.STYLES[facts.style].ko[0], "style"))
    text, kind = dice.pick(options)
    return Caption(text, frozenset((kind,) if kind != "word" else ("event", "outcome")))


def write(facts: Facts, dice: Dice, length: Length, *, hanja: bool) -> Caption:
    """A Korean caption of `length` of `facts`, in mixed script if `hanja`."""
    if length == "word":
        text, said = _word(facts, dice)
    else:
        writer = _Writer(make_plan(facts, dice, length), dice, hanja)
        text = _short(writer) if length == "short" else _sentence(writer)
        said = frozenset(writer.plan.said)
    return Caption(to_mixed_script(text, dice), said) if hanja else Caption(text, said)
