"""Korean phrase tables: verb phrases end in a bare stem; braces are filled from the facts.

Slots: {n} how often, {d} direction, {r} place beside another thing, {w} works; the other subject as {o} bare,
{ul} with 을/를, {wa} with 과/와, {ro} with 으로/로.
"""

from __future__ import annotations

from typing import Final

_APPROACH: Final = ("서로에게 다가가", "서로 가까워지", "서로를 향해 다가가", "서로 접근하")
_STANDS: Final = ("가만히 서 있", "서 있", "제자리에 서 있")
_REACHES: Final = ("{ul} 향해 손을 뻗", "{o} 쪽으로 손을 뻗", "{ul} 향해 팔을 뻗")
_WALKS: Final = ("{d}걷", "{d}걸어가", "{d}걸어가")

PHRASES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("bounce", "bounces"): ("{n}튀", "{n}튀", "떨어져 {n}튀", "바닥에 떨어져 {n}튀", "바닥에서 {n}튀", "{n}튀어 오르", "{n}통통 튀"),
    ("bounce", "falls"): ("떨어지", "아래로 떨어지", "바닥으로 떨어지", "바닥에 떨어지"),
    ("stairs", "bounces down"): (
        "회색 계단을 튀며 내려가", "회색 계단을 통통 튀며 내려가", "계단을 튀면서 내려가", "회색 계단 아래로 튀며 내려가",
    ),
    ("stairs", "bounces on"): ("회색 계단 위에서 튀", "계단에서 튀", "회색 계단에서 통통 튀"),
    ("pendulum", "swings"): ("흔들리", "좌우로 흔들리", "왔다 갔다 흔들리", "왔다 갔다 하"),
    ("dominoes", "topple"): ("차례로 쓰러지", "하나씩 쓰러지", "줄줄이 넘어지", "연달아 쓰러지", "하나씩 넘어지"),
    ("dominoes", "stand"): ("나란히 서 있", "줄지어 서 있", "가만히 서 있"),
    ("tower", "knocks over"): ("{ul} 쓰러뜨리", "{ul} 무너뜨리", "굴러와 {ul} 무너뜨리", "굴러가 {ul} 쓰러뜨리", "{ul} 쳐서 무너뜨리"),
    ("tower", "shakes"): ("{ul} 흔들", "굴러와 {ul} 흔들", "{ul} 쳐서 흔들"),
    ("tower", "rolls towards"): ("{o} 쪽으로 굴러가", "{ul} 향해 굴러가", "{ro} 굴러가"),
    ("collide", "collide"): ("부딪치", "서로 부딪치", "충돌하", "서로 충돌하"),
    ("collide", "approach"): _APPROACH,
    ("ramp", "rolls down"): ("나무 경사로를 굴러 내려가", "경사로를 굴러 내려가", "나무 경사면을 굴러 내려가", "나무 경사로를 따라 굴러 내려가"),
    ("ramp", "slides down"): ("나무 경사로를 미끄러져 내려가", "경사로를 미끄러져 내려가", "나무 경사면을 미끄러져 내려가"),
    ("pile", "heap"): ("떨어져 쌓이", "우수수 떨어져 쌓이", "쏟아져 쌓이", "떨어져 더미를 이루"),
    ("roll", "rolls"): ("{d}굴러가", "{d}굴러가", "바닥을 {d}굴러가", "{d}데굴데굴 굴러가", "{d}구르"),
    ("relation", "rests"): ("{r} 놓여 있", "{r} 놓여 있", "{r} 있"),
    ("car", "drives"): ("{d}달리", "{d}달리", "{d}주행하", "{d}달려가"),
    ("car", "starts"): ("{d}움직이기 시작하", "{d}출발하", "{d}달리기 시작하"),
    ("rope", "swings"): ("흔들리", "고리에 매달려 흔들리", "고리에서 대롱대롱 흔들리", "좌우로 흔들리"),
    ("quadruped", "walks"): ("{d}걷", "{d}걸어가", "네 다리로 {d}걸어가"),
    ("quadruped", "moves its legs"): ("다리를 움직이", "네 다리를 움직이"),
    ("flag", "waves"): ("펄럭이", "바람에 펄럭이", "바람에 나부끼", "바람에 휘날리"),
    ("bird", "flies"): ("{d}날아가", "{d}날아가", "{d}날", "날개를 치며 {d}날아가"),
    ("robot walks", "walks"): _WALKS,
    ("robot walks", "stands"): _STANDS,
    ("robot stops", "walks and stops"): ("{d}걷다가 멈추", "{d}걸어가다가 멈추", "{d}걷다가 정지하", "{d}걸어가다 멈춰 서"),
    ("robot stops", "stands"): _STANDS,
    ("robot picks up", "picks up"): ("{ul} 집어 들", "{ul} 들어 올리", "{ul} 집어 올리"),
    ("robot picks up", "reaches for"): _REACHES,
    ("robot pushes", "pushes"): ("{ul} {d}밀", "{ul} {d}밀고 가", "{ul} {d}떠밀"),
    ("robot pushes", "reaches for"): _REACHES,
    ("robot looks", "looks at"): ("빛나는 간판을 바라보", "빛나는 간판을 쳐다보", "빛나는 간판을 응시하", "간판을 바라보"),
    ("robot looks", "stands"): _STANDS,
    ("float", "bobs"): ("물 위에서 출렁거리", "물 위에 둥둥 떠 있", "물에 떠서 위아래로 흔들리", "물결을 타고 흔들리"),
    ("float", "splashes"): ("물에 풍덩 빠지", "물보라를 일으키며 떨어지", "물에 첨벙 떨어지", "풍덩 떨어지"),
    ("fish", "jumps"): ("물 위로 뛰어오르", "물 밖으로 뛰어오르", "수면 위로 뛰어오르"),
    ("fish", "swims"): ("{d}헤엄치", "{d}헤엄쳐 가", "물속에서 {d}헤엄치"),
    ("waves", "roll"): ("일렁이", "출렁이", "밀려오", "넘실거리"),
    ("drift", "drifts"): ("떠다니", "무중력 속에서 {d}떠다니", "{d}둥둥 떠다니", "무중력 상태로 떠돌", "{d}떠가"),
    ("space collide", "collide"): ("부딪치", "서로 부딪치", "떠다니다가 충돌하", "무중력 속에서 충돌하", "무중력 상태로 부딪치"),
    ("space collide", "approach"): (*_APPROACH, "서로를 향해 떠가"),
    ("paintings", "hang"): ("벽에 걸려 있", "벽에 걸려 있", "한쪽 벽에 걸려 있"),
    ("gallery tour", "walks past"): ("{w} 앞을 지나가", "{w} 앞을 차례로 지나가", "{w} 앞을 걸어서 지나가"),
    ("leaves", "fall"): ("떨어지", "나무에서 떨어지", "하늘하늘 떨어지", "바닥으로 떨어지"),
    ("snowfall", "fall"): ("내리", "하늘에서 내리", "하늘에서 내려오"),
}  # fmt: skip
#: What the subject of an event does before it turns.
GOING: Final = {"car": "달리", "robot walks": "걷", "bird": "날아가"}
#: Verb phrases of so many turns ({a}, {b}: towards the first side and the other one; {go}: of GOING). The last ones are
#: of all that are more.
TURNS: Final = (
    ("{a} 꺾", "{go}다가 {a} 꺾", "{go}면서 {a} 꺾", "{a} 방향을 꺾"),
    ("{a} 꺾었다가 {b} 꺾", "{go}다가 {a} 꺾고 {b} 꺾", "{go}면서 {a} 꺾었다가 {b} 꺾", "{a} 꺾고 {b} 꺾"),
    ("{a} 꺾었다가 {b} 꺾고 {a} 꺾", "{go}다가 {a} 꺾고 {b} 꺾었다가 {a} 꺾"),
    ("좌우로 여러 번 꺾", "{go}면서 좌우로 여러 번 꺾"),
)
ACTS_ON: Final = {
    "collide": ("{wa} 충돌하", "{wa} 부딪치", "{o}에 부딪치"),
    "approach": ("{o} 쪽으로 다가가", "{ul} 향해 다가가", "{o}에 접근하"),
}
#: What only two balls do.
BOTH_ROLL: Final = {
    "collide": ("서로 굴러가 부딪치", "굴러와 서로 충돌하", "서로 굴러와 부딪치"),
    "approach": ("서로를 향해 굴러가", "서로에게 굴러가"),
}
STILL_SCENERY: Final = {
    "stairs": ("회색 계단", "계단"), "ramp": ("나무 경사로", "경사로"), "robot looks": ("빛나는 간판", "간판"),
}  # fmt: skip
NATIVE_NUMBERS: Final = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열", "열한", "열두")
#: (before a noun: '정오의', as an adverb: '정오에') for each time
TIME_PHRASES: Final = {
    "noon": (("한낮의", "정오의", "대낮의", "햇살 밝은 낮의"), ("한낮에", "정오에", "대낮에")),
    "sunset": (("해 질 녘", "해 질 녘의", "석양의", "노을 진", "저녁노을 속"), ("해 질 녘에", "해 질 무렵에", "일몰에", "석양에")),
    "night": (("밤의", "한밤중의", "야간의", "밤"), ("밤에", "한밤중에", "야간에")),
    "foggy morning": (("안개 낀 아침의", "안개 자욱한 아침의", "안개 낀 아침"), ("안개 낀 아침에", "안개 자욱한 아침에")),
}  # fmt: skip
#: Style as the thing made ('수채화'), after what it shows.
STYLE_WORK: Final = {
    "photo": ("실사 영상", "실사 장면"), "watercolor": ("수채화", "수채화풍 영상", "수채화 장면"), "pixel art": ("픽셀 아트", "픽셀 아트 영상"),
    "cyberpunk": ("사이버펑크풍 영상", "사이버펑크 스타일 영상"), "pencil sketch": ("연필 스케치", "연필화", "연필 소묘"),
    "oil painting": ("유화", "유화풍 영상"), "cartoon": ("만화", "만화풍 영상", "카툰 장면"), "film noir": ("누아르 영화", "흑백 누아르 영상"),
}  # fmt: skip
STYLE_TAG: Final = {
    "photo": ("실사", "사실적인 영상"),
    "watercolor": ("수채화 스타일", "수채화풍", "수채화", "수채화 느낌"),
    "pixel art": ("픽셀 아트", "픽셀 아트 스타일", "도트 그래픽 스타일"),
    "cyberpunk": ("사이버펑크 스타일", "사이버펑크풍", "사이버펑크 느낌"),
    "pencil sketch": ("연필 스케치", "연필 소묘 스타일", "연필화풍", "연필화"),
    "oil painting": ("유화 스타일", "유화풍", "유화", "유화 느낌"),
    "cartoon": ("만화 스타일", "만화풍", "카툰 스타일", "만화"),
    "film noir": ("누아르 영화 스타일", "흑백 누아르 스타일", "흑백 누아르", "필름 누아르"),
}
CAMERA: Final = {
    "static": ("카메라는 고정되어 있", "카메라가 고정되어 있", "카메라는 움직이지 않", "카메라는 멈춰 있"),
    "orbit": ("카메라가 {s} 돌", "카메라가 {s} 회전하", "카메라가 {s} 원을 그리며 돌", "카메라는 {s} 돌"),
    "push in": ("카메라가 다가가", "카메라가 앞으로 다가가", "카메라가 전진하", "카메라가 가까이 다가가"),
    "pull back": ("카메라가 뒤로 물러나", "카메라가 물러나", "카메라가 후퇴하", "카메라가 멀어지"),
    "crane up": ("카메라가 위로 올라가", "카메라가 올라가", "카메라가 상승하", "카메라가 위로 움직이"),
    "truck": ("카메라가 {s} 이동하", "카메라가 {s} 움직이", "카메라가 {s} 평행 이동하", "카메라는 {s} 이동하"),
}
SHOTS: Final = {
    "static": ("고정 카메라", "고정 샷", "고정된 카메라"),
    "orbit": ("{s} 도는 카메라", "{s} 회전하는 카메라"),
    "push in": ("다가가는 카메라", "전진하는 카메라"),
    "pull back": ("물러나는 카메라", "후퇴하는 카메라"),
    "crane up": ("올라가는 카메라", "상승하는 카메라", "크레인 샷"),
    "truck": ("{s} 이동하는 카메라", "{s} 가는 트래킹 샷"),
}
SIDES: Final = {
    "left": ("왼쪽으로", "왼쪽으로", "왼편으로", "좌측으로"),
    "right": ("오른쪽으로", "오른쪽으로", "오른편으로", "우측으로"),
}
#: (event, outcome) -> single words that tell what happens.
ONE_WORD: Final = {
    ("stairs", "bounces down"): ("계단",), ("collide", "collide"): ("충돌",), ("ramp", "rolls down"): ("경사로",),
    ("ramp", "slides down"): ("경사로",), ("car", "drives"): ("주행",), ("waves", "roll"): ("파도", "물결"), ("drift", "drifts"): ("무중력",),
    ("paintings", "hang"): ("그림", "액자"), ("leaves", "fall"): ("낙엽", "나뭇잎"), ("snowfall", "fall"): ("눈", "눈송이"),
    ("tower", "knocks over"): ("탑",), ("fish", "swims"): ("헤엄",),
}  # fmt: skip
