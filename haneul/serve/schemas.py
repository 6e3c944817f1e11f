"""Bodies that come in and go out, as pydantic models: they check, and they are what /docs shows."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from haneul.serve.jobs import Job

Prompt = Annotated[str, Field(min_length=1, max_length=32000)]


def _size(value: Any) -> Any:
    """WIDTHxHEIGHT as two numbers."""
    if not isinstance(value, str):
        return value
    width, cross, height = value.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and len(value) < 12):
        raise ValueError(f"{value[:40]!r} is not a size; write width x height, such as 1280x720")
    return int(width), int(height)


def _seconds(value: Any) -> Any:
    """A number, or one in quotes as that API has it."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"{value[:40]!r} is not a number of seconds, such as 4") from None
    return value


Size = Annotated[
    tuple[int, int], BeforeValidator(_size, json_schema_input_type=str), Field(examples=["720x1280", "896x512"])
]
Seconds = Annotated[
    float, BeforeValidator(_seconds, json_schema_input_type=str | float),
    Field(gt=0, le=3600, allow_inf_nan=False, examples=["4"]),
]  # fmt: skip


class Strict(BaseModel):
    """An unknown parameter is an error: it would not do what its sender hopes. So is a number in place of yes or no,
    or the other way round, which JSON tells apart; in a form all is text, and read."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _told_apart(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _kinds(cls.model_fields[info.field_name or ""].annotation)
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise ValueError("give a number instead of true or false")
        if type(value) in (int, float) and bool in kinds and not kinds & {int, float}:
            raise ValueError("give true or false instead of a number")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """What a union is made of."""
    inner = get_args(annotation)
    return set().union(*map(_kinds, inner)) if inner else {annotation}


class Options(Strict):
    """What every way to make a video takes besides its own. None of it is needed."""

    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed gives the same video.")
    steps: int | None = Field(None, ge=1, le=200, description="Denoising steps.")
    guidance: float | None = Field(None, ge=1, le=20, description="How strictly the prompt is followed.")
    negative: str | None = Field(None, max_length=32000, description="What should not be seen.")
    remember: str | None = Field(None, max_length=32000, description="What holds where the prompt is silent.")
    expand: bool | None = Field(None, description="Fill in what the prompt leaves open.")
    camera: str | None = Field(None, max_length=1000, examples=["orbit left 40, then push in"])
    priority: int = Field(0, description="-10 to 0; with an admin key up to 10.")

    def options(self) -> dict[str, Any]:
        """Those that `engine.make` takes."""
        return self.model_dump(include=set(Options.model_fields) - {"priority"}, exclude_none=True)


class ImageRef(Strict):
    """A picture by URL (https: or data:) or by the id of an uploaded file; exactly one of them."""

    image_url: str | None = Field(None, max_length=64 * 2**20)
    file_id: str | None = Field(None, max_length=100)

    @model_validator(mode="after")
    def _one(self) -> ImageRef:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("give exactly one of image_url and file_id")
        return self


class VideoRef(Strict):
    """A completed video of this service."""

    id: str = Field(max_length=100, examples=["video_123"])


class CreateVideo(Options):
    """A video from a prompt, and perhaps a picture that it begins with."""

    prompt: Prompt
    model: str | None = Field(None, max_length=200, examples=["sora-2"])
    input_reference: ImageRef | None = None
    seconds: Seconds = 4.0
    size: Size = (720, 1280)
    loop: bool = Field(False, description="The end leads into the beginning.")


class EditVideo(Options):
    """A video made anew from a given one, as the prompt says it."""

    prompt: Prompt
    video: VideoRef | None = None
    strength: float = Field(0.6, ge=0, le=1, description="0: stays as it is; 1: all is made anew.")


class RemixVideo(Options):
    """A completed video with another prompt."""

    prompt: Prompt
    strength: float = Field(0.6, ge=0, le=1, description="0: stays as it is; 1: all is made anew.")


class ExtendVideo(Options):
    """A completed video and more after it."""

    prompt: Prompt
    video: VideoRef | None = None
    seconds: Seconds


class CreateCharacter(Strict):
    """A name for what a short video shows."""

    name: str = Field(min_length=1, max_length=80)


class VideoError(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class Video(BaseModel):
    """A video job."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str | None
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: VideoError | None


Item = TypeVar("Item", bound=BaseModel)  # with an id


class Page(BaseModel, Generic[Item]):
    """A page of a list, and how to go on from it."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, data: list[Item], more: bool) -> Self:
        """A page of these, with more after them or not."""
        ends = (data[0].id, data[-1].id) if data else (None, None)  # type: ignore[attr-defined]
        return cls(data=data, first_id=ends[0], last_id=ends[1], has_more=more and bool(data))


class VideoList(Page[Video]):
    """A page of videos."""


class Deleted(BaseModel):
    """Something is gone."""

    id: str
    object: str
    deleted: Literal[True] = True


class DeletedVideo(Deleted):
    """A video is gone, and what was computed for it has stopped."""

    object: Literal["video.deleted"] = "video.deleted"


class Character(BaseModel):
    """A character: mention it as @name in a prompt."""

    id: str | None
    object: Literal["character"] = "character"
    name: str | None
    created_at: int


def video_of(job: Job, model: str) -> Video:
    """A job as that API shows it."""
    shown = job.request["shown"]
    width, height = shown["size"]
    size, seconds = f"{width}x{height}", float(shown["seconds"])
    if job.result is not None:
        size = job.result["size"]
        # Lengths are whole frames; one that differs by less than a frame is the one that was asked for.
        if abs(job.result["seconds"] - seconds) * job.result["fps"] >= 1:
            seconds = job.result["seconds"]
        model = job.result["report"].get("model", {}).get("model", model)
    return Video(
        id=job.id, model=model, status="failed" if job.status == "deleted" else job.status, progress=job.progress,
        created_at=int(job.created_at), completed_at=None if job.completed_at is None else int(job.completed_at),
        expires_at=None if job.expires_at is None else int(job.expires_at), prompt=job.request.get("prompt") or None,
        size=size, seconds=f"{round(seconds, 3):g}", remixed_from_video_id=job.request.get("source"),
        error=None if job.error is None else VideoError(code=job.error[0], message=job.error[1]),
    )  # fmt: skip
