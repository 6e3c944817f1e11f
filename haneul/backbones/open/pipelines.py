"""A checkpoint's pipelines, loaded through diffusers: from safetensors alone, from this machine alone."""

from __future__ import annotations

import gc
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig
from PIL import Image

from haneul.backbones.base import Progress
from haneul.backbones.open import parallel, quantise, speed
from haneul.backbones.open.extras import Extras
from haneul.backbones.open.folder import Checkpoint, read_header
from haneul.backbones.open.memory import Plan
from haneul.backbones.open.sources import Pipeline
from haneul.errors import CheckpointError


class Pipelines:
    """The parts of a checkpoint in memory as a plan has it, and whatever pipelines are made of them."""

    def __init__(self, checkpoint: Checkpoint, plan: Plan, extras: Extras | None = None) -> None:
        self.checkpoint, self.plan, self.extras = checkpoint, plan, extras or Extras()
        self.doubts: list[str] = []  #: what was asked for and could not be done
        self.shared = self._share()
        with quiet():
            self.own = self._load()
            self._add(self.own)
        self._made: dict[str, Any] = {}
        self._placed: Any = None
        self.get(checkpoint.pipeline)

    def _share(self) -> bool:
        """Whether several processes compute together; the others are told to load the same."""
        if parallel.count() == 1:
            return False
        kind = self.checkpoint.denoiser.kind
        if kind not in parallel.SPLIT:
            self.doubts.append(f"{kind} is not split over several devices, so one of them computes alone")
            return False
        if torch.accelerator.device_count() == 0:
            self.doubts.append("several processes share a video on graphics cards alone, so one of them computes alone")
            return False
        if self.plan.place == "layers":
            self.doubts.append("a layer at a time is not split over several devices, so one of them computes alone")
            return False
        if parallel.leads():
            found = self.checkpoint
            parallel.tell(parallel.Load(folder=found.folder, name=found.name, plan=self.plan, extras=self.extras))
        return True

    def _load(self) -> Any:
        dtype = getattr(torch, self.plan.dtype)
        kinds: Any = dtype
        if dtype != torch.float32 and self.checkpoint.vae.kind == "AutoencoderKLWan":
            kinds = {"default": dtype, "vae": torch.float32}  # as its makers run it; in bfloat16 it shows bands
        given: dict[str, Any] = {}
        with loading(self.checkpoint.name):
            if self.extras.weights is not None:
                given["transformer"] = self._single(self.extras.weights, dtype)
            if self.plan.int8:
                names = [name for name in speed.DENOISERS if name in self.checkpoint.parts and name not in given]
                mapping = {name: quantise.config() for name in names}
                if mapping:
                    given["quantization_config"] = PipelineQuantizationConfig(quant_mapping=mapping)
            return class_of(self.checkpoint.pipeline).from_pretrained(
                self.checkpoint.folder, dtype=kinds, use_safetensors=True, local_files_only=True, **given
            )

    def _single(self, file: Path, dtype: torch.dtype) -> Any:
        """The denoiser from one file, with the configuration of the folder."""
        part = self.checkpoint.denoiser
        cls = getattr(diffusers, part.kind)
        if not hasattr(cls, "from_single_file"):
            raise CheckpointError(f"diffusers reads no single file for {part.kind}; give a folder of shards")
        more: dict[str, Any] = {}
        if file.suffix.lower() == ".gguf":
            more["quantization_config"] = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
        elif self.plan.int8:
            more["quantization_config"] = quantise.config()
        return cls.from_single_file(
            str(file),
            config=str(self.checkpoint.folder),
            subfolder=part.name,
            dtype=dtype,
            local_files_only=True,
            **more,
        )

    def _add(self, pipe: Any) -> None:
        """What goes with the checkpoint, once it is loaded."""
        names = []
        for i, (path, _) in enumerate(self.extras.loras):
            if not hasattr(pipe, "load_lora_weights"):
                raise CheckpointError(f"{type(pipe).__name__} of diffusers takes no LoRA; leave {path.name} out")
            names.append(f"haneul-{i}")
            with loading(path.name):
                pipe.load_lora_weights(
                    str(path.parent), weight_name=path.name, adapter_name=names[-1], use_safetensors=True
                )
            told, fit = layers_in(path), layers_with(pipe, names[-1])
            if not fit:
                raise CheckpointError(f"{path.name} is a LoRA of another model: none of its layers is in this one")
            if fit < told:
                self.doubts.append(
                    f"only {fit} of the {told} layers of {path.name} are in this model; the rest is lost"
                )
        if names:
            pipe.set_adapters(names, [weight for _, weight in self.extras.loras])
        if self.plan.fp8:
            for denoiser in speed.denoisers(pipe):
                denoiser.enable_layerwise_casting(
                    storage_dtype=torch.float8_e4m3fn, compute_dtype=getattr(torch, self.plan.dtype)
                )
        if self.shared:
            for denoiser in speed.denoisers(pipe):
                parallel.split(denoiser)
        if self.extras.cache and self.shared:  # each would decide by its share of the tokens, and wait for the others
            self.doubts.append("where several devices share a video no blocks are skipped, so --cache does nothing")
        elif self.extras.cache:
            self.doubts += speed.skip_alike(pipe, self.extras.cache)
        if self.extras.compile:
            self.doubts += speed.compile_blocks(pipe)
        elif self.plan.place == "whole":  # elsewhere what is kept would lie on the device beside the part that computes
            speed.once_a_text(pipe)
        if not self.extras.exact:
            speed.neutral(pipe, device=self.plan.device, compiled=self.extras.compile)
        if self.plan.tiled and hasattr(pipe.vae, "enable_tiling"):
            pipe.vae.enable_tiling()

    def get(self, pipeline: Pipeline) -> Any:
        """The pipeline of a class, made of the same parts in memory, and placed."""
        if pipeline.name not in self._made:
            made = self.own
            if pipeline.name != self.checkpoint.pipeline.name:
                own = {**self.own.components, **{k: v for k, v in self.own.config.items() if not isinstance(v, tuple)}}
                given = {name: own[name] for name in pipeline.parts if name in own}
                with quiet():
                    made = class_of(pipeline)(**given)
            speed.remember_texts(made)
            self._made[pipeline.name] = made
        pipe = self._made[pipeline.name]
        if pipe is not self._placed:
            self._place(pipe)
        return pipe

    def _place(self, pipe: Any) -> None:
        device = self.plan.device
        if device == "cuda" and self.shared:  # each process has its own, where diffusers takes the first to be meant
            device = f"cuda:{torch.cuda.current_device()}"
        if self.plan.place == "whole":
            pipe.to(device)
        elif self.plan.place == "parts":
            pipe.enable_model_cpu_offload(device=device)
        else:
            pipe.enable_sequential_cpu_offload(device=device)
        self._placed = pipe

    def call(self, pipeline: Pipeline, tell: Callable[[int, int], None] | None, **given: Any) -> Any:
        """What a pipeline answers; `tell` is called with the steps done and the steps in all. Raises MemoryError when
        the device has not enough memory."""
        pipe, told = self.get(pipeline), dict(given)
        if "guidance_scale" in given and "guidance_scale" not in pipeline.call:
            pipe.guider = pipe.guider.new(guidance_scale=given.pop("guidance_scale"))
        together = parallel.called(pipeline, told) if self.shared else nullcontext()
        with quiet(), torch.no_grad(), _telling(pipe, tell), _drawing(given), together:
            try:
                return pipe(**given)
            except torch.OutOfMemoryError as error:
                if self.shared:  # the others are within the call and could not be told another plan
                    raise CheckpointError(
                        "one of the processes ran out of memory; ask for a smaller or shorter video, or --quantise"
                    ) from error
                raise MemoryError(str(error)) from error
            except RuntimeError as error:
                if "can't allocate memory" in str(error) or "not enough memory" in str(error):  # the CPU's own words
                    raise MemoryError(str(error)) from error
                raise

    def release(self) -> None:
        """Give the memory back."""
        self._made, self._placed, self.own = {}, None, None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def _drawing(given: Mapping[str, Any]) -> Iterator[None]:
    """Where a call draws from the process's own generator (SkyReels-V2's noise on the context), it draws what the
    seed of the call's generator says, and the process's own stays where it was."""
    if "addnoise_condition" not in given:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(given["generator"].initial_seed())
        yield


def layers_in(lora: Path) -> int:
    """How many layers a LoRA's file changes: each has two matrices, of which one goes down to the few dimensions."""
    return sum("lora_A" in name or "lora_down" in name or "lora.down" in name for name in read_header(lora).tensors)


def layers_with(pipe: Any, adapter: str) -> int:
    """How many layers of a pipeline's networks have an adapter."""
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return sum(adapter in getattr(module, "lora_A", ()) for part in parts for module in part.modules())


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Whatever the libraries say of a file that they cannot use is one error of ours."""
    try:
        yield
    except (OSError, ValueError, TypeError, ImportError, KeyError, AttributeError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise MemoryError(str(error)) from error
        lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
        first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
        raise CheckpointError(f"{name} cannot be loaded by diffusers: {first[:300]}") from error


def class_of(pipeline: Pipeline) -> Any:
    """The class of diffusers itself."""
    found = getattr(diffusers, pipeline.name, None)
    if found is None:
        raise CheckpointError(f"diffusers {diffusers.__version__} cannot give {pipeline.name}; see that it is whole")
    return found


def condition(pipeline: Pipeline, pictures: list[Image.Image], at: int, step: int, strength: float = 1.0) -> Any:
    """Given frames from frame `at` on, in the form that the pipeline's `conditions` take. `strength`: how clean they
    are, from 0 to 1."""
    module = importlib.import_module(class_of(pipeline).__module__)
    cls: Any = next(v for k, v in vars(module).items() if k.endswith("VideoCondition") and isinstance(v, type))
    if "frame_index" in cls.__dataclass_fields__:
        one = {"image": pictures[0]} if len(pictures) == 1 else {"video": pictures}
        return cls(frame_index=at, strength=strength, **one)
    index = -(-at // step)  # in latent frames: the first one is one frame, the rest `step`
    return cls(frames=pictures, index=index, strength=strength)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither library talks, nor does Python for them: what a user has to know, we say."""
    before = diffusers.utils.logging.get_verbosity(), transformers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    bars = diffusers.utils.logging.is_progress_bar_enabled()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        diffusers.utils.logging.set_verbosity(before[0])
        transformers.utils.logging.set_verbosity(before[1])
        if bars:
            diffusers.utils.logging.enable_progress_bar()
        transformers.utils.logging.enable_progress_bar()


class _Steps:
    """What a pipeline takes for its progress bar."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self.total, self.done, self.tell = total, 0, tell

    def update(self, count: int = 1) -> None:
        self.done += count
        if self.tell is not None:
            self.tell(min(self.done, self.total), self.total)

    def set_postfix(self, *_: object, **__: object) -> None:
        """Some pipelines write beside their bar."""


@contextmanager
def _telling(pipe: Any, tell: Callable[[int, int], None] | None) -> Iterator[None]:
    """The pipeline's progress bar is ours: every pipeline of diffusers has one, and not every one a callback."""

    @contextmanager
    def bar(iterable: Any = None, total: int | None = None) -> Iterator[Any]:
        yield _Steps(total if total is not None else len(iterable), tell)

    pipe.progress_bar = bar
    try:
        yield
    finally:
        del pipe.progress_bar


def teller(progress: Progress | None, piece: int, of: int) -> Callable[[int, int], None] | None:
    """Steps of one piece as steps of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress("denoising", piece * total + done, of * total)
