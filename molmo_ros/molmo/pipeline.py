# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From an image and words to an answer: every stage in the order in which a query goes through them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.molmo.answer import Answer, Asked, Point
from molmo_ros.molmo.answers.answer_stream import QueryArguments
from molmo_ros.molmo.answers.encoded_image import EncodedImage, Images, Pictures, about
from molmo_ros.molmo.answers.image_encoder import ImageEncoder
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.answers.joined_answer import joined
from molmo_ros.molmo.answers.point_format import point_format
from molmo_ros.molmo.answers.query_answerer import Outcome, QueryAnswerer
from molmo_ros.molmo.catalog.model_parts import read_image_processing, read_tokenizer, read_video_processing
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.errors import CheckpointError, PromptError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.families.wording import About
from molmo_ros.molmo.images.crop_budget import CropBudget
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.latency_model import QueryTiming
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.part_check import check_parts
from molmo_ros.molmo.prompts.prompt import PromptBuilder
from molmo_ros.molmo.prompts.prompt_text import (
    count_prompt,
    describe_prompt,
    not_found_answers,
    point_prompt,
    track_prompt,
)
from molmo_ros.molmo.prompts.tokenizer import Tokenizer
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.runtime import Runtime
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.scoring.confidence_calibration import ConfidenceCalibration, read_calibration
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Molmo:
    """A Molmo that points, counts and answers.

    One caller at a time: a query keeps the device busy, and two queries about the same `EncodedImage` would
    write to the same cache. `cancel` events may be set from any thread::

        model = Molmo.from_pretrained("tiny")
        answer = model.point(image, "red cube")     # image: uint8 RGB [h, w, 3]
        answer.points[0].x, answer.points[0].y      # pixels of that image

    Points are in pixels of the image that was given: x in [0, width], y in [0, height].
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: Tokenizer,
        image_processor: ImageProcessor,
        calibration: ConfidenceCalibration | None = None,
        video: VideoConfig | None = None,
    ) -> None:
        """Puts the parts of one checkpoint together; without a calibration, confidences are raw scores.

        Args:
            runtime: Runs the network.
            tokenizer: For its prompts and answers.
            image_processor: For its images.
            calibration: Of its confidences.
            video: How it processes frames; default: as it does where its files say nothing about them.

        Raises:
            CheckpointError: They do not fit each other.
        """
        config = runtime.config
        self.video = video or VideoConfig.of_images(image_processor.config)
        check_parts(config, tokenizer, image_processor.config, self.video)
        self.runtime, self.tokenizer, self.image_processor = runtime, tokenizer, image_processor
        self.family = family(config.family)
        points = point_format(runtime, tokenizer)
        self.prompts = PromptBuilder(
            tokenizer,
            self.family.prompt,
            low_res_columns=image_processor.config.low_res_columns,
            max_tokens=runtime.max_context,
        )
        self.crop_budget = CropBudget(image_processor.config, runtime.max_context)
        self._encoder = ImageEncoder(
            runtime, image_processor, self.video, self.prompts, points, self.crop_budget
        )
        self.calibration = calibration
        not_found = [tokenizer.encode(one) for one in not_found_answers(self.family.prompt.wording)]
        self.answerer = QueryAnswerer(runtime, tokenizer, self.prompts, points, self.crop_budget, not_found)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "tiny",
        *,
        device: str = "cpu",
        dtype: str = "float32",
        max_crops: int | None = None,
        latency_target: float | None = None,
    ) -> Molmo:
        """Loads a checkpoint.

        Args:
            model: Name of an embedded checkpoint or of a fetched model ("tiny", "molmo2-4b"; nothing is ever
                downloaded here), or a Hugging Face folder (config.json, safetensors, tokenizer and
                preprocessor files). A name goes before a folder of that name; write "./tiny" for the folder.
            device: A torch device: "cpu", "cuda", "cuda:1".
            dtype: Of weights and activations: "float32", "bfloat16" or "float16".
            max_crops: See `limit_crops`.
            latency_target: See `limit_crops`.

        Raises:
            CheckpointError: No such checkpoint, or one that cannot be read.
            MolmoError: `max_crops` or `latency_target` is out of range.
        """
        if isinstance(model, str) and not model.strip():
            # As a path it would be the working directory.
            raise CheckpointError(f"the model's name is empty: {model!r}; the folder you are in is '.'")
        folder = checkpoint_folder(model)
        network = load_checkpoint(folder, device=device, dtype=dtype, tie_equal_head=True)
        molmo = cls.from_runtime(TorchRuntime(network), folder)
        molmo.limit_crops(max_crops, latency_target)
        return molmo

    @classmethod
    def from_runtime(cls, runtime: Runtime, folder: Path, most_crops: int | None = None) -> Molmo:
        """What runs a checkpoint's network, with the tokenizer and the processors from the checkpoint's folder.

        Args:
            runtime: Runs the network.
            folder: The checkpoint's.
            most_crops: Most tiles that the runtime takes; None for any number.

        Raises:
            CheckpointError: They cannot be read, or do not fit the network.
        """
        images = read_image_processing(folder)
        if most_crops is not None and most_crops < images.max_crops:
            images = images.with_max_crops(most_crops)
        return cls(
            runtime,
            read_tokenizer(folder),
            ImageProcessor(images),
            read_calibration(folder),
            read_video_processing(folder, images),
        )

    def limit_crops(self, max_crops: int | None = None, latency_target: float | None = None) -> None:
        """Sets how finely the next images are looked at; `Answer.crops` says what came of it.

        Args:
            max_crops: Most tiles of one image; None for the trained limit. More than that is outside of what
                the model has seen in training.
            latency_target: Wall time of a whole query [s]: as many tiles as are predicted to keep it, `max_crops`
                at most. The first time, a few short queries are timed. None for no target.

        Raises:
            MolmoError: `max_crops` is not a whole number from 1 to 1000, or the target is not a positive time.
        """
        self.crop_budget.limit(max_crops, latency_target)
        if self.crop_budget.unmeasured:
            self.crop_budget.measure(self._timed_query)

    def _timed_query(self, size: tuple[int, int], max_crops: int) -> QueryTiming:
        """Times a query about a grey image of (height, width) `size`."""
        encoded = self.encode(np.full((*size, 3), 128, np.uint8), max_crops=max_crops)
        encoded.asked = True  # a measurement is none of the queries that it is compared with
        answer = self.query(
            encoded, "Point to the thing.", options=GenerateOptions(max_new_tokens=16, drafts=False)
        )
        assert encoded.crops is not None
        return encoded.crops.timing(answer.timing_ms | encoded.timing_ms, answer.tokens)

    def point(
        self,
        image: Images,
        label: str | Sequence[str],
        *,
        apart: bool = False,
        options: GenerateOptions | None = None,
        max_points: int | None = None,
        cancel: threading.Event | None = None,
        on_text: Callable[[str], None] | None = None,
        on_point: Callable[[Point], None] | None = None,
    ) -> Answer:
        """Points at every thing that the label names.

        Args:
            image: uint8 RGB [h, w, 3]; several of them where the model takes several (`Point.image` tells them
                apart); or what `encode` or `encode_video` returned.
            label: "red cube"; several labels go into one request, unless they are asked apart.
            apart: Whether each of several labels is asked by itself, which is nearer to what the model has learnt: they
                are decoded together, and the points have the labels that they were asked for. Limits are those of each
                label; pieces of text come as they are made.
            options: Limits.
            max_points: Stop as soon as this many points are complete; 1 is the fastest way to a point.
            cancel: Ends the query between two tokens, or between two stages, when set.
            on_text: Called with each piece of text as it is decoded.
            on_point: Called with each point as it becomes complete; its label is what was asked for, since
                the model writes its own after the coordinates.

        Returns:
            FOUND with points; NOT_FOUND where the model says so; UNPARSEABLE where it says neither; CANCELLED
            or TIMEOUT with the points that were complete by then.

        Raises:
            ImageError: The image is not what it should be.
            PromptError: The label is empty or too long, `max_points` is below 1, or another model encoded the
                image.
        """
        text = point_prompt(label, self.family.prompt.wording, about(image))
        if apart and not isinstance(label, str):
            limits = QueryArguments(
                options=options, max_points=max_points, cancel=cancel, on_text=on_text, on_point=on_point
            )
            names = [one.strip() for one in label]
            queries = [ImageQuery("", Asked.POINTS, name, **limits) for name in names]
            return joined(list(zip(names, _answers(self.answers(image, queries)), strict=True)))
        return self._answer(
            image,
            text,
            Asked.POINTS,
            label,
            options=options,
            max_points=max_points,
            cancel=cancel,
            on_text=on_text,
            on_point=on_point,
        )

    def count(self, image: Images, label: str | Sequence[str], **limits: Unpack[QueryArguments]) -> Answer:
        """Counts the things that the label names, with a point on each: `Answer.count` is what the model says.

        NOT_FOUND with a count of 0 where there are none. Arguments as of `point`.
        """
        text = count_prompt(label, self.family.prompt.wording, about(image))
        return self._answer(image, text, Asked.COUNT, label, **limits)

    def describe(self, image: Images, **limits: Unpack[QueryArguments]) -> Answer:
        """Describes what is seen. Arguments as of `point`."""
        return self.ask(image, describe_prompt(self.family.prompt.wording, about(image)), **limits)

    def track(
        self, video: EncodedImage, label: str | Sequence[str], **limits: Unpack[QueryArguments]
    ) -> Answer:
        """Follows things through a video of `encode_video`: `Point.index` is the thing, `Point.image` the frame.

        Arguments and outcomes otherwise as of `point`.

        Raises:
            PromptError: The label is empty or too long, or the model takes no video.
        """
        text = track_prompt(label, self.family.prompt.wording)
        return self._answer(video, text, Asked.POINTS, label, **limits)

    def ask(self, image: Images, question: str, **limits: Unpack[QueryArguments]) -> Answer:
        """Answers a question: ANSWERED, or FOUND where the answer holds points. Arguments as of `point`."""
        return self._answer(image, question, Asked.WORDS, **limits)

    def query(self, image: Images, text: str, **limits: Unpack[QueryArguments]) -> Answer:
        """Sends the text as it is: FOUND, NOT_FOUND where the answer says so, else ANSWERED.

        Arguments as of `point`.
        """
        return self._answer(image, text, Asked.ANYTHING, **limits)

    def query_many(
        self,
        image: Images,
        texts: Sequence[str],
        *,
        options: GenerateOptions | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Answer]:
        """`query` for several texts about one image, which is encoded once; they are decoded together.

        The limits hold for each query. After `cancel` the remaining answers are CANCELLED.

        Raises:
            PromptError: `texts` is a single text, or none.
        """
        if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
            raise PromptError(f"texts is {texts!r:.80}; query_many takes a list of texts")
        return _answers(
            self.answers(image, [ImageQuery(text, options=options, cancel=cancel) for text in texts])
        )

    def encode(self, image: Pictures, *, max_crops: int | None = None, view: str = "") -> EncodedImage:
        """Runs everything that depends on the image alone, except for the decoder's prefill.

        Args:
            image: uint8 RGB [h, w, 3]; Molmo2 also takes several.
            max_crops: Most tiles of each image; default: what `limit_crops` set.
            view: See `EncodedImage`.

        Raises:
            ImageError: An image is not what it should be.
            MolmoError: `max_crops` is not a whole number from 1 to 1000.
            PromptError: Several images for a model that takes one, or more than its context holds.
        """
        encoded = self._encoder.images(image if isinstance(image, (list, tuple)) else [image], max_crops)
        encoded.view = view
        return encoded

    def encode_video(self, frames: Sequence[np.ndarray], times: Sequence[float]) -> EncodedImage:
        """As `encode`, for frames of a video: seen more coarsely than images, each with its moment.

        `Point.image` of an answer is the frame. The models have seen at most two frames a second.

        Args:
            frames: Each uint8 RGB [h, w, 3].
            times: The moment of each [s], from the start of the video, rising, in different tenths of a second.

        Raises:
            CheckpointError: The tokenizer has no tokens for frames.
            ImageError: A frame is not what it should be.
            PromptError: A model that takes no video, wrong times, or more frames than the model or its context
                takes.
        """
        return self._encoder.video(frames, times)

    def answers(
        self,
        image: Images,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, Outcome], None] | None = None,
    ) -> list[Outcome]:
        """Answers several queries about one image together: one pass a step for all of them.

        Each answer is what it would be alone, token for token in float32. What ends one leaves the others alone.

        Args:
            image: As of `point`.
            queries: What is asked.
            on_answer: Called with each outcome and its query's number, from 0, as soon as there is one.

        Returns:
            In the order of the queries an answer each, or the error that ended it.

        Raises:
            ImageError: The image is not what it should be.
            PromptError: Another model encoded the image.
        """
        if isinstance(image, EncodedImage) and image.runtime is not self.runtime:
            raise PromptError("the image was encoded by another model; its features mean nothing to this one")
        return self.answerer.answers(
            lambda: image if isinstance(image, EncodedImage) else self.encode(image),
            [self._worded(query, about(image)) for query in queries],
            self.calibration,
            on_answer,
            encodes=not isinstance(image, EncodedImage),
        )

    def _worded(self, query: ImageQuery, what: About) -> ImageQuery:
        """With the words that the model was trained on, where the query has none of its own."""
        make = {Asked.POINTS: point_prompt, Asked.COUNT: count_prompt}.get(query.asked)
        if query.text or make is None:
            return query
        return replace(query, text=make(query.label, self.family.prompt.wording, what))

    def _answer(
        self,
        image: Images,
        text: str,
        asked: Asked,
        label: str | Sequence[str] = "",
        **arguments: Unpack[QueryArguments],
    ) -> Answer:
        """Sends a text and reads the answer, with points labelled `label` until the model has said its own."""
        name = label.strip() if isinstance(label, str) else ""
        return _answers(self.answers(image, [ImageQuery(text, asked, name, **arguments)]))[0]


def _answers(outcomes: Iterable[Outcome]) -> list[Answer]:
    """The answers.

    Raises:
        Exception: The first of them that is one.
    """
    answers = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        answers.append(outcome)
    return answers
