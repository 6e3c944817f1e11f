"""Words for people: how each entry of the vocabulary is called in English and Korean.

`en` and `ko` are spoken by the captions, the first word most often; `heard` are words that only the grammar
understands (both languages). Verbs of events live in `EVENT_CUES`: what a prompt may say for an event and how strongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing's names. English nouns are singular and without article; Korean ones without particle."""

    en: tuple[str, ...]
    ko: tuple[str, ...]
    heard: tuple[str, ...] = ()


def _e(en: str, ko: str, heard: str = "") -> Entry:
    split = [tuple(w.strip() for w in words.split(",") if w.strip()) for words in (en, ko, heard)]
    return Entry(en=split[0], ko=split[1], heard=split[2])


COLORS: Final[dict[str, Entry]] = {
    "red": _e("red, crimson, scarlet", "빨간, 붉은, 빨간색, 적색", "빨강, 빨갛다, 새빨간, reddish, ruby"),
    "blue": _e(
        "blue, cobalt blue, royal blue", "파란, 푸른, 파란색, 청색", "파랑, 새파란, cobalt, navy, azure, bluish"
    ),
    "green": _e("green, emerald green", "초록, 초록색, 녹색, 초록빛", "emerald, greenish, 연두색"),
    "yellow": _e("yellow, lemon yellow", "노란, 노란색, 황색", "노랑, golden, gold, 샛노란, 금색"),
    "orange": _e("orange, tangerine", "주황색, 주황, 오렌지색, 주황빛", "오렌지"),
    "purple": _e("purple, violet", "보라색, 보랏빛, 자주색, 보라", "lilac, magenta, 자주"),
    "white": _e("white, snow-white", "하얀, 흰, 흰색, 백색", "ivory, 새하얀, 하양"),
    "black": _e("black, jet-black", "검은, 까만, 검은색, 흑색", "검정, 검정색, 까망, 새까만"),
    "pink": _e("pink, rose pink", "분홍색, 분홍, 분홍빛, 핑크색", "rosy, 핑크, 연분홍"),
    "cyan": _e(
        "cyan, turquoise, sky blue", "청록색, 하늘색, 청록", "teal, aqua, light blue, 하늘빛, 시안, 시안색, 옥색"
    ),
}
#: Sino-Korean colour names, which mixed script prefers.
SINO_COLORS: Final[dict[str, str]] = {
    "red": "적색", "blue": "청색", "green": "녹색", "yellow": "황색", "purple": "자주색", "white": "백색",
    "black": "흑색", "pink": "분홍색", "cyan": "청록색", "orange": "주황색",
}  # fmt: skip
MATERIALS: Final[dict[str, Entry]] = {
    "rubber": _e("rubber", "고무", "rubbery, bouncy, 고무로"),
    "plastic": _e("plastic", "플라스틱", "플라스틱으로"),
    "wood": _e("wooden, wood", "나무, 목재", "timber, 나무로, 목재로, 목제"),
    "metal": _e("metal, steel", "금속, 강철", "metallic, iron, 쇠, 철, 철제, 금속으로, 쇠로"),
    "marble": _e("marble", "대리석", "stone, 대리석으로, 돌"),
    "neon": _e("neon, glowing neon, glowing", "네온, 빛나는 네온", "luminous, shining, glow, 빛나는, 야광"),
}
KINDS: Final[dict[str, Entry]] = {
    "ball": _e("ball, sphere, orb", "공, 구체", "globe, football, basketball, beach ball, 구슬, 볼"),
    "box": _e("box, cube, crate", "상자, 박스, 정육면체", "block, package, 큐브, 블록, 궤짝"),
    "cylinder": _e("cylinder", "원기둥, 원통", "barrel, drum, 실린더, 드럼통"),
    "capsule": _e("capsule, pill", "캡슐, 알약", "pill shape"),
    "pendulum": _e("pendulum", "진자", "흔들이, 시계추"),
    "dominoes": _e("dominoes, domino tiles", "도미노, 도미노 조각", "domino"),
    "stack": _e("stack, tower", "더미, 탑", "타워, 쌓은 탑, 무더기"),
    "car": _e("car, automobile", "자동차, 차", "vehicle, truck, taxi, sports car, 승용차, 차량, 트럭, 택시"),
    "rope": _e("rope, cord", "밧줄, 로프", "string, cable, 줄, 끈"),
    "dog robot": _e(
        "dog robot, robot dog, four-legged robot, quadruped robot",
        "로봇 개, 네발 로봇, 사족 로봇, 사족 보행 로봇",
        "quadruped, robotic dog, mechanical dog, 로보독, 기계 개",
    ),
    "robot": _e(
        "robot, humanoid robot, humanoid, android",
        "로봇, 인간형 로봇, 휴머노이드",
        "two-legged robot, droid, cyborg, 안드로이드, 이족 보행 로봇",
    ),
    "flag": _e("flag, banner", "깃발", "pennant, 기, 국기, 배너"),
    "bird": _e("bird", "새", "seagull, gull, crow, eagle, 갈매기, 독수리, 참새"),
    "fish": _e("fish", "물고기", "dolphin, 돌고래, 생선"),
}
SETTINGS: Final[dict[str, Entry]] = {
    "art gallery": _e(
        "art gallery, gallery, art museum, museum", "미술관, 화랑, 갤러리, 전시실", "exhibition, exhibition hall, 박물관, 전시장"
    ),
    "neon street": _e(
        "neon street, neon-lit street, neon alley", "네온 거리, 네온사인 거리, 네온 골목",
        "street, neon lights street, city street, neon road, 거리, 골목, 길거리, 네온 불빛 거리",
    ),
    "desert": _e("desert, sandy desert", "사막, 모래사막", "dune, sand dune, sahara, 모래 언덕, 모래밭"),
    "sea": _e("sea, ocean, open sea", "바다, 해상", "바닷물, at sea, 대양, 망망대해, 바닷가, beach, seashore"),
    "snowy field": _e(
        "snowy field, snow field, snow-covered field, field of snow", "눈밭, 설원, 눈 덮인 들판, 눈 쌓인 들판",
        "snow, snowfield, snowy, snowy plain, snow-covered, snowscape, 눈, 눈 속, 눈 위",
    ),
    "forest": _e("forest, woods, woodland", "숲, 숲속, 삼림", "wood grove, jungle, 산림, 나무 사이"),
    "tiled plaza": _e(
        "tiled plaza, tiled square, plaza", "타일 광장, 광장, 타일이 깔린 광장", "town square, city square, piazza, square"
    ),
    "outer space": _e("outer space, space, deep space", "우주, 우주 공간", "cosmos, universe, 우주공간, 무중력 공간"),
    "brick courtyard": _e(
        "brick courtyard, courtyard, brick yard", "벽돌 마당, 벽돌 안뜰, 벽돌 뜰", "brick-walled courtyard, yard, 마당, 안뜰, 뜰"
    ),
    "cyberpunk city": _e(
        "cyberpunk city, cyberpunk street", "사이버펑크 도시, 사이버펑크 거리, 사이버펑크 도심",
        "futuristic city, city, cyberpunk alley, cyberpunk town, future city, 미래 도시, 도시",
    ),
}  # fmt: skip
TIMES: Final[dict[str, Entry]] = {
    "noon": _e(
        "noon, midday", "한낮, 정오, 대낮",
        "daylight, daytime, midday sun, bright sunlight, sunny, sunshine, day, 낮, 햇살, 맑은 날",
    ),
    "sunset": _e(
        "sunset, dusk, sundown, golden hour", "해 질 녘, 해 질 무렵, 해질녘, 저녁노을, 석양, 일몰",
        "evening, twilight, evening glow, setting sun, sun sets, sun is setting, sun goes down, 노을, 노을 진, 저녁, 황혼",
    ),
    "night": _e(
        "night, nighttime", "밤, 한밤중, 야간",
        "midnight, dark, moonlight, night sky, starry night, 한밤, 심야, 밤하늘, 달밤",
    ),
    "foggy morning": _e(
        "foggy morning, misty morning", "안개 낀 아침, 안개 자욱한 아침",
        "fog, mist, foggy, misty, morning fog, morning mist, morning, dawn, 안개, 아침, 아침 안개, 새벽, 안개 속",
    ),
}  # fmt: skip
STYLES: Final[dict[str, Entry]] = {
    "photo": _e("realistic, photorealistic", "실사, 사실적인", "photo, photograph, photographic, live action, 사진"),
    "watercolor": _e("watercolor, watercolour", "수채화, 수채화풍", "watercolor painting, aquarelle, 수채, 물감"),
    "pixel art": _e("pixel art, 8-bit pixel art", "픽셀 아트, 도트 그래픽", "pixelated, pixel, 8-bit, 8 bit, retro game, 도트, 픽셀"),
    "cyberpunk": _e("cyberpunk", "사이버펑크, 사이버펑크풍", "cyberpunk art, cyberpunk look, synthwave, 사이버펑크 스타일"),
    "pencil sketch": _e(
        "pencil sketch, pencil drawing", "연필 소묘, 연필화, 연필 스케치",
        "pencil, sketch, drawing, sketched, drawn in pencil, 스케치, 소묘, 연필, 연필로",
    ),
    "oil painting": _e("oil painting", "유화, 유화풍", "oil, painted in oils, oil paint, 유채"),
    "cartoon": _e("cartoon, animated cartoon", "만화, 만화풍, 카툰", "comic, anime, animation, cel-shaded, 애니메이션, 애니"),
    "film noir": _e(
        "film noir, black-and-white film noir", "누아르 영화, 흑백 누아르, 필름 누아르",
        "noir, black-and-white film, black-and-white movie, black-and-white, monochrome, 흑백 영화, 흑백, 느와르, 누아르",
    ),
}  # fmt: skip
RELATIONS: Final[dict[str, Entry]] = {
    "left of": _e(
        "to the left of, left of", "왼쪽에, 왼편에, 좌측에",
        "on the left of, on the left side of, left side of, on the left-hand side of, 왼쪽, 왼편, 좌측",
    ),
    "right of": _e(
        "to the right of, right of", "오른쪽에, 오른편에, 우측에",
        "on the right of, on the right side of, right side of, on the right-hand side of, 오른쪽, 오른편, 우측",
    ),
    "behind": _e("behind, in back of", "뒤에, 뒤쪽에", "at the back of, 뒤, 뒤쪽, 뒤편, 뒤편에"),
    "in front of": _e("in front of", "앞에, 앞쪽에", "앞, 앞쪽"),
    "on top of": _e("on top of, atop", "위에, 꼭대기에", "on, upon, 위, 꼭대기"),
}  # fmt: skip
WORKS: Final[dict[str, Entry]] = {
    "abstract circles": _e(
        "abstract of circles, abstract, circle abstract", "원으로 된 추상화, 추상화, 동그라미 추상화"
    ),
    "color grid": _e("color grid, grid of colors, colored grid", "색 격자, 색깔 격자 그림, 격자무늬 그림"),
    "landscape": _e("landscape, landscape painting", "풍경화"),
    "swirls": _e("swirl painting, picture of swirls", "소용돌이 그림, 소용돌이무늬 그림"),
    "stripes": _e("stripe painting, picture of stripes, striped canvas", "줄무늬 그림"),
    "portrait": _e("portrait", "초상화, 인물화"),
}
#: Camera moves: (words of the move in English as heard, Korean verb stems as heard); sides are read apart from these.
CAMERA_CUES: Final[dict[str, tuple[str, ...]]] = {
    "static": (
        "still", "static", "fixed", "locked", "locked-off", "motionless", "steady", "stay still", "stay put", "does not move",
        "tripod", "고정", "움직이지", "정지", "가만히", "멈춰",
    ),
    "orbit": ("orbit", "circle", "revolve", "rotate", "turn around", "arc", "돌", "도는", "돈다", "회전", "원을", "공전", "돕니다"),
    "push in": (
        "push in", "move in", "dolly in", "zoom in", "move closer", "come closer", "get closer", "closer", "move forward", "push-in",
        "다가", "전진", "가까이", "줌 인", "줌인", "들어가", "들어간다", "앞으로",
    ),
    "pull back": (
        "pull back", "pull away", "move back", "move away", "dolly out", "zoom out", "back away", "pull-back", "retreat",
        "물러", "후퇴", "멀어", "줌 아웃", "줌아웃", "뒤로",
    ),
    "crane up": (
        "crane up", "rise", "move up", "go up", "lift up", "crane", "boom up", "upward", "올라", "상승", "솟", "위로", "크레인",
    ),
    "truck": (
        "truck", "track", "slide", "move", "pan", "glide", "dolly", "travel", "이동", "움직", "미끄러", "트래킹", "트럭", "팬", "평행",
    ),
}  # fmt: skip
CAMERA_MARKERS: Final = ("camera", "shot", "카메라", "샷", "촬영", "dolly", "zoom", "pan", "줌", "줌인", "줌아웃")

#: What is said for an event, with a weight: 3 names it, 2 its usual verb, 1 a verb that others share.
#: Korean verbs end in `*` (the stem's spelling before any ending), English ones are base forms.
EVENT_CUES: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "bounce": (
        ("bounce", 2), ("rebound", 2), ("hop", 1.5), ("fall", 0.8), ("drop", 0.8), ("fall down", 0.9), ("bounce up and down", 2),
        ("hit ground", 1), ("튀*", 2), ("튕*", 2), ("튄*", 2), ("튑*", 2), ("떨어*", 0.8), ("통통", 1),
    ),
    "stairs": (
        ("stairs", 3), ("stair", 3), ("steps", 2.5), ("staircase", 3), ("grey stairs", 3), ("grey steps", 3), ("gray stairs", 3),
        ("gray steps", 3), ("grey staircase", 3), ("stairway", 3), ("계단", 3), ("회색 계단", 3), ("층계", 3), ("bounce", 0.5),
    ),
    "pendulum": (("swing back and forth", 1.5), ("swing", 1), ("sway", 1), ("흔들*", 1), ("왔다 갔다", 1)),
    "dominoes": (("topple", 1.5), ("tip over", 1), ("쓰러*", 1), ("넘어*", 1), ("one after another", 0.5), ("차례*", 0.3)),
    "tower": (
        ("knock over", 2), ("knock down", 2), ("knock", 2), ("topple", 1), ("shake", 1), ("crash into", 1), ("wobble", 1), ("무너*", 2),
        ("쓰러뜨*", 2), ("쓰러트*", 2), ("roll towards", 0.5), ("roll toward", 0.5), ("roll into", 0.5), ("move towards", 0.5), ("collapse", 1.5),
    ),
    "collide": (
        ("collide", 2), ("collision", 2), ("crash into each other", 2.2), ("crash", 1), ("bump into", 1.2), ("bump into each other", 2.2),
        ("hit", 1), ("roll into", 1), ("towards each other", 2), ("toward each other", 2), ("approach each other", 2.2), ("each other", 1.5),
        ("approach", 1), ("move towards", 1.6), ("come towards", 1.6), ("충돌*", 2), ("부딪*", 2), ("서로", 2), ("서로에게", 2), ("서로를", 2), ("접근*", 1), ("다가*", 1), ("가까워*", 1), ("crash into", 1.2),
    ),
    "ramp": (
        ("ramp", 3), ("wooden ramp", 3), ("slope", 3), ("wooden slope", 3), ("incline", 3), ("slide down", 1), ("roll down", 1),
        ("경사로", 3), ("나무 경사로", 3), ("경사면", 3), ("나무 경사면", 3), ("비탈", 3), ("비탈길", 3), ("미끄러*", 1),
    ),
    "pile": (
        ("heap", 3), ("pile", 2.5), ("pile up", 3), ("object", 2), ("colorful object", 3), ("colourful object", 3), ("쌓이*", 2.5),
        ("쌓인*", 2.5), ("쌓입*", 2.5), ("물체", 2), ("쏟아*", 2), ("더미를 이루*", 3), ("더미를 이룬*", 3), ("더미를 이룹*", 3), ("우수수", 1),
    ),
    "roll": (
        ("roll", 2), ("roll towards", 1.5), ("roll toward", 1.5), ("roll into", 0.5), ("go rolling", 2), ("roll across", 2.2), ("roll along", 2.2), ("구르*", 2), ("구른*", 2), ("구릅*", 2), ("굴러*", 2),
        ("데굴데굴", 1.5),
    ),
    "relation": (("rest", 1.5), ("lie", 1.5), ("sit", 1.5), ("놓여", 1.5), ("놓인", 1.5), ("next to", 1.5), ("stand", 0.3)),
    "car": (("drive", 2), ("cruise", 2), ("start moving", 1), ("start driving", 2), ("set off", 1), ("달리*", 1.5), ("달린*", 1.5),
            ("달립*", 1.5), ("주행*", 2), ("출발*", 1), ("race", 1), ("운전*", 2)),
    "rope": (("swing", 1), ("sway", 1), ("dangle", 1.5), ("hook", 2), ("흔들*", 1), ("고리", 2), ("매달*", 1), ("대롱대롱", 1.5)),
    "quadruped": (("four legs", 2), ("move its legs", 2), ("trot", 2), ("legs", 1), ("다리를 움직*", 2), ("네 다리*", 2), ("walk", 0.3),
                  ("걷*", 0.3), ("걸어*", 0.3)),
    "flag": (("flutter", 1.5), ("wave", 1), ("flap in wind", 1.5), ("펄럭*", 2), ("나부*", 2), ("휘날*", 2), ("wind", 0.5), ("breeze", 0.5),
             ("pole", 1), ("깃대", 1), ("바람", 0.5), ("flap", 0.8)),
    "bird": (("fly", 2), ("soar", 2), ("flap its wings", 2), ("wing", 1), ("날아*", 2), ("날개*", 1), ("난다", 1.5), ("나는", 1), ("날고", 1.5),
             ("납니다", 1)),
    "robot walks": (("walk", 2), ("stride", 2), ("stand still", 0.5), ("stand", 0.5), ("걷*", 1.9), ("걸어*", 1.9), ("성큼성큼", 1), ("서 있*", 1.0), ("제자리에", 0.5),
                    ("march", 1)),
    "robot stops": (("stop", 2.5), ("halt", 2.5), ("come to stop", 2.5), ("멈추*", 2.5), ("멈춰*", 2.5), ("멈춘*", 2.5), ("멈춥*", 2.5),
                    ("정지*", 2), ("pause", 2)),
    "robot picks up": (
        ("pick up", 3), ("pick", 2), ("lift", 2), ("lift up", 2.5), ("grab", 2), ("raise", 1.5), ("reach for", 2), ("reach out", 2),
        ("stretch arm", 2), ("reach", 1.5), ("집어*", 3), ("들어*", 2), ("들고", 1.5), ("든다", 1.5), ("드는", 1.5), ("듭니다", 1.5), ("손을*", 1.5), ("팔을*", 1.5),
        ("뻗*", 2),
    ),
    "robot pushes": (("push", 3), ("shove", 3), ("밀*", 3), ("떠밀*", 3), ("민다", 3), ("미는", 3), ("밉니다", 3), ("떠민다", 3), ("떠미는", 3),
                     ("떠밉니다", 3)),
    "robot looks": (("look at", 2.5), ("look", 2), ("gaze", 2.5), ("stare", 2.5), ("sign", 2), ("glowing sign", 3), ("neon sign", 3),
                    ("watch", 1.5), ("간판", 2), ("빛나는 간판", 3), ("네온 간판", 3), ("바라*", 2), ("쳐다*", 2), ("응시*", 2), ("billboard", 2)),
    "float": (("float", 1.5), ("bob", 2.5), ("bob up and down", 2.5), ("splash", 2.5), ("splash down", 2.5), ("둥둥", 1), ("떠", 1),
              ("출렁거*", 2), ("풍덩", 2.5), ("첨벙", 2.5), ("물보라*", 2), ("float on water", 2.5), ("흔들*", 0.8), ("빠지*", 1), ("떨어*", 0.5)),
    "fish": (("swim", 2), ("leap out of water", 2.5), ("jump out of water", 2.5), ("leap", 1.5), ("jump", 1.5), ("헤엄*", 2.5), ("뛰어오*", 2),
             ("수영*", 2), ("점프*", 1.5)),
    "waves": (("wave", 1.8), ("ripple", 2), ("파도", 2), ("물결", 2), ("일렁*", 2), ("출렁이*", 2), ("출렁인*", 2), ("출렁입*", 2), ("넘실*", 2), ("밀려*", 2),
              ("roll", 0.3), ("rise and fall", 1.5), ("move across water", 1)),
    "drift": (("drift", 2), ("float", 1.5), ("weightless", 2), ("weightlessly", 2), ("zero gravity", 1.5), ("떠다*", 2), ("떠가*", 2), ("떠간*", 2), ("떠갑*", 2), ("떠돌*", 2),
              ("떠돈*", 2), ("떠도는", 2), ("떠돕*", 2), ("무중력", 1.5), ("둥둥", 1)),
    "paintings": (("painting", 2), ("picture", 1.5), ("artwork", 2), ("framed painting", 3), ("framed picture", 3), ("hang on wall", 2),
                  ("wall", 1), ("hang", 0.5), ("그림", 2), ("액자", 2), ("액자 그림", 3), ("벽", 1), ("걸려", 1.5), ("걸린", 1.5), ("작품", 2), ("점", 0.5)),
    "gallery tour": (("tour", 3), ("walk past", 3), ("pass by", 1.5), ("go past", 2), ("move past", 3), ("pass", 1), ("walk through", 1.5),
                     ("past", 1), ("지나*", 2.5), ("둘러*", 3), ("관람*", 3), ("visit", 1)),
    "leaves": (("leaf", 2), ("leaves", 2), ("falling leaves", 3), ("foliage", 2), ("나뭇잎", 3), ("낙엽", 3), ("잎", 2), ("잎사귀", 3), ("flutter down", 0.8),
               ("fall", 0.3), ("drift down", 0.6)),
    "snowfall": (("snowfall", 3), ("snowflake", 3), ("it snow", 3), ("snowing", 3), ("snow fall", 3), ("snow is falling", 3), ("falling snow", 3),
                 ("snow come down", 3), ("snow drift down", 3), ("눈이", 3), ("눈송이", 3), ("함박눈", 3), ("내리*", 1.5), ("내린*", 1.5), ("내려오*", 1.5), ("내려온*", 1.5), ("내립*", 1.5),
                 ("강설", 3), ("blizzard", 3), ("펑펑", 1), ("fall", 0.3), ("drift down", 0.6), ("눈 내리는", 3)),
}  # fmt: skip

EVENT_CUES["space collide"] = (*EVENT_CUES["collide"], ("drift into each other", 2.2), ("drift into", 2.1))

#: Hangul spellings of Sino-Korean words in the captions and how mixed script writes them.
HANJA: Final[dict[str, str]] = dict(
    pair.split("=")
    for pair in (
        "사막=沙漠 모래사막=모래沙漠 자동차=自動車 석양=夕陽 일몰=日沒 정오=正午 야간=夜間 설원=雪原 적색=赤色 청색=靑色 녹색=綠色 황색=黃色 "
        "백색=白色 흑색=黑色 자주색=紫朱色 분홍색=粉紅色 청록색=靑綠色 주황색=朱黃色 회색=灰色 계단=階段 대리석=大理石 금속=金屬 강철=鋼鐵 "
        "목재=木材 물체=物體 광장=廣場 도시=都市 도심=都心 삼림=森林 우주=宇宙 공간=空間 미술관=美術館 화랑=畫廊 전시실=展示室 수채화=水彩畫 "
        "수채화풍=水彩畫風 유화=油畫 유화풍=油畫風 만화=漫畫 만화풍=漫畫風 연필=鉛筆 연필화=鉛筆畫 소묘=素描 사진=寫眞 실사=實寫 영화=映畫 "
        "흑백=黑白 고정=固定 좌측=左側 우측=右側 화면=畫面 좌우=左右 방향=方向 회전=回轉 이동=移動 상승=上昇 전진=前進 후퇴=後退 충돌=衝突 "
        "접근=接近 정지=停止 보행=步行 출발=出發 주행=走行 원통=圓筒 구체=球體 상자=箱子 진자=振子 탑=塔 사족=四足 인간형=人間形 파도=波濤 "
        "낙엽=落葉 해상=海上 작품=作品 추상화=抽象畫 풍경화=風景畫 초상화=肖像畫 인물화=人物畫 액자=額子 벽에=壁에 간판=看板 무중력=無重力 경사로=傾斜路 "
        "경사면=傾斜面 영상=映像 장면=場面 풍경=風景 수면=水面 응시=凝視 격자=格子 동영상=動映像 촬영=撮影 시점=視點 정육면체=正六面體 "
        "차례로=次例로 번=番 중이=中이 중입=中입 한밤중=한밤中"
    ).split()
)
#: What says that a subject turns, to a side that it sees itself.
TURN_CUES: Final = ("turn", "꺾*")
