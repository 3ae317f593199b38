"""Embedding with onnxruntime, without torch: the built-in model, and folders that `retrieval model compile` wrote."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.embedders import builtin
from service.embedders.base import Vectors
from service.embedders.compiled import read_compiled
from service.embedders.files import ModelFiles
from service.embedders.texts import well_formed
from service.errors import ModelUnavailable

# Read while it is imported: the library would write session files and report its use to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

TOKENS_PER_RUN = 512
"""Padded. A run's buffers grow with it: two threads of 512 hold the process at 280 MB, of 2,048 at 770 MB."""
RUN_COST_TOKENS = 16
"""What beginning a run costs: more padding than this, and a run of its own is cheaper (16 queries: 25 % less time)."""
ERROR = 3
"""onnxruntime's own log level: its warnings about the machine are not for our users."""

SMALLEST_LENGTH = 1e-12
"""Keeps a vector of zeros from dividing by zero."""


class OnnxModel:
    """A transformer as an ONNX graph, pooled and normalised here.

    One session, one thread a call: the embedder calls from as many threads as there are cores, which measured faster
    than several threads inside the runtime.
    """

    def __init__(self, files: ModelFiles) -> None:
        self.card = files.card
        self.tokenizer = files.tokenizer
        self._reader = Tokenizer.from_str(files.tokenizer.to_str())
        self._reader.enable_truncation(files.card.window)
        self._padding_id = files.padding_id
        self._tokens_per_run = 1 if files.has_dynamic_scales else TOKENS_PER_RUN
        self._session = _open_session(files.weights)
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> Vectors:
        # One by one: encode_batch would start a thread pool that inherits the priority of whoever comes first.
        tokens = [self._reader.encode(well_formed(text)).ids for text in texts]
        vectors = np.empty((len(texts), self.card.dimensions), np.float32)
        for rows in _runs([len(ids) for ids in tokens], self._tokens_per_run):
            vectors[rows] = self._run([tokens[row] for row in rows])
        return vectors

    def _run(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        longest = max(len(ids) for ids in tokens)
        ids = np.full((len(tokens), longest), self._padding_id, np.int64)
        mask = np.zeros_like(ids)
        for row, of_text in enumerate(tokens):
            ids[row, : len(of_text)] = of_text
            mask[row, : len(of_text)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
        pooled: Vectors = np.stack([self._pool(hidden[row, : len(of_text)]) for row, of_text in enumerate(tokens)])
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), SMALLEST_LENGTH)
        return pooled

    def _pool(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make one vector of a text's token vectors, shape (tokens, dimensions)."""
        pooled: NDArray[np.float32] = hidden[0] if self.card.pooling == "cls" else hidden.mean(axis=0)
        return pooled


def load_onnx_model(name_or_path: str, query_prefix: str | None = None, passage_prefix: str | None = None) -> OnnxModel:
    """Load the built-in model or a compiled folder, and run it once; prefixes replace the model's own.

    Raises ModelUnavailable where there is no such model, or its files are not those that they should be.
    """
    if name_or_path in builtin.ALIASES:
        files = builtin.read_builtin()
    elif Path(name_or_path).is_dir():
        files = read_compiled(Path(name_or_path))
    else:
        raise ModelUnavailable(
            f"There is no model {name_or_path!r} for the runtime onnx, which takes {builtin.NAME} or a folder that "
            "`retrieval model compile` wrote. Any other model: compile it, or use the runtime sentence-transformers."
        )
    prefixes = {"query_prefix": query_prefix, "passage_prefix": passage_prefix}
    given = {name: prefix for name, prefix in prefixes.items() if prefix is not None}
    model = OnnxModel(msgspec.structs.replace(files, card=msgspec.structs.replace(files.card, **given)))
    try:
        model.encode(["ready"])
    except Exception as error:
        raise ModelUnavailable(f"The model {name_or_path!r} does not run: {error}") from error
    return model


def quantise(source: Path, target: Path, excluded: Sequence[str]) -> None:
    """Write the graph in int8 except the nodes of these names, activations quantised as they come; needs `onnx`."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  # needs the extra

    # One scale a channel: without, MiniLM's mean cosine falls from 0.99 to 0.95 at the same speed. Seven bits: with
    # eight, sums overflow on processors without VNNI, and vectors of one cluster would differ from node to node.
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=list(excluded),
    )


def _open_session(weights: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERROR
    try:
        return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelUnavailable(f"onnxruntime cannot open the model: {error}") from error


def _runs(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group rows into runs of similar length, each within the budget of padded tokens or of one row."""
    run: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if run:
            padding = len(run) * (lengths[row] - lengths[run[-1]])
            if padding > RUN_COST_TOKENS or (len(run) + 1) * lengths[row] > budget:
                yield run
                run = []
        run.append(row)
    if run:
        yield run
